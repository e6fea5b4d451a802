"""Names of the folder that trees cannot store."""

import unicodedata
from collections.abc import Iterable

from dits_client.errors import ClientError
from dits_client.terminal import quote_text
from shared.formats import limits, manifests
from shared.formats.canonical import FormatError

# The most sentences that one message lists.
LISTED = 20


class UnusableError(ClientError):
    """A name, path or link that trees cannot store, and why."""


class LeftOutError(ClientError):
    """A command did what it was asked for, except for what cannot be stored."""

    exit_code = 3


def need_no_look(names: str) -> bool:
    """Return whether trees can store names, here one after the other, that are neither long nor `.dits`."""
    return names.isascii() and names.isprintable() and "\\" not in names


def to_stored_name(parent: str, disk_name: str) -> str:
    """Return a name in NFC, as trees store it. Raises UnusableError if they cannot store it or its path."""
    path = f"{parent}/{disk_name}" if parent else disk_name
    try:
        disk_name.encode()
        name = unicodedata.normalize("NFC", disk_name)
        manifests.check_name(name)
    except UnicodeEncodeError:
        raise UnusableError(f"the name {quote_text(path)} is not UTF-8: rename it") from None
    except FormatError as error:
        raise UnusableError(f"the name {quote_text(path)} {error.description}: rename it") from None
    if len(parent.encode()) + bool(parent) + len(name.encode()) > limits.MAX_PATH_BYTES:
        limit = limits.MAX_PATH_BYTES
        raise UnusableError(f"the path {quote_text(path)} is longer than {limit} bytes: rename it")
    return name


def same_name_error(path: str) -> UnusableError:
    """Return the error for the second of two names that are one in NFC: in ASCII, they differ."""
    return UnusableError(
        f"the name {path!a} is the same as another in Unicode's NFC: rename one of them"
    )


def check_left_out(sentences: Iterable[str], hint: str = "") -> None:
    """Raise LeftOutError if a command left out something, which is nowhere else then."""
    if sentences := list(sentences):
        raise LeftOutError(describe_left_out(sentences) + hint)


def describe_left_out(sentences: Iterable[str]) -> str:
    """Return the text about what a command leaves out."""
    return f"left out, and in this folder alone:{join_sentences(sentences)}"


def join_sentences(sentences: Iterable[str]) -> str:
    """Return a list of at most 20 lines, each indented."""
    sentences = sorted(sentences)
    lines = [f"\n  {sentence}" for sentence in sentences[:LISTED]]
    if len(sentences) > LISTED:
        lines.append(f"\n  and {len(sentences) - LISTED} more")
    return "".join(lines)
