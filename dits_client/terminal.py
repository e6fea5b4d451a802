"""Texts for a terminal: those of others as it may show them, and numbers."""

import io
import re
import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import PurePath

# On Windows: what needs no quotes, and what its shells take for more than a letter within double ones.
_PLAIN = re.compile(r"[\w./:+\\~-]+")
_ODD = re.compile('["$`%\u2018-\u201f]')


HASH_DIGITS = 64


def make_streams_safe() -> None:
    """Let no name raise an error when it is written; pipes of Windows take and give UTF-8."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # Tests and programs put others there.
        if isinstance(stream, io.TextIOWrapper):
            encoding = "utf-8" if sys.platform == "win32" else stream.encoding
            errors = stream.errors if stream is sys.stdin else "backslashreplace"
            stream.reconfigure(encoding=encoding, errors=errors)


def escape_text(text: str) -> str:
    """Return the text without what a terminal could take for a command."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def format_count(number: int, noun: str) -> str:
    """Return a number of things for a sentence: `1 file`, `1,200 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def quote_text(text: "str | PurePath") -> str:
    """Return a name or path for a sentence: in quotes, on one line."""
    return f'"{escape_text(str(text))}"'


def name_revision(revision: str) -> str:
    """Return a revision for a sentence: of the hash of a commit, the first digits."""
    is_hash = len(revision) == HASH_DIGITS and set(revision) <= set("0123456789abcdef")
    return f"commit {revision[:12]}" if is_hash else revision


def quote_argument(text: str) -> str:
    """Return a name for a command that a message advises: whoever copies it runs nothing else."""
    shown = escape_text(text)
    if sys.platform == "win32" and not _ODD.search(shown):
        return shown if _PLAIN.fullmatch(shown) else f'"{shown}"'
    return shlex.quote(shown)


def escape_lines(text: str) -> str:
    """Return a sentence and the indented lines below it; a line that is not indented is from a name."""
    first, *others = map(escape_text, text.split("\n"))
    return first + "".join(
        f"\n{line}" if line.startswith("  ") else f"\\n{line}" for line in others
    )
