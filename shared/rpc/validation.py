"""Rules for names, paths and hashes. Each function returns the value or raises INVALID_FIELD."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from shared.errors import batch_too_large, invalid_field
from shared.formats import limits
from shared.formats.text import find_line_fault, find_prose_fault, is_blank

Request = TypeVar("Request", bound=Message)
Parsed = TypeVar("Parsed")

MAX_HASHES = 10_000
MAX_PATHS = 1_000
MAX_PATH_BYTES = limits.MAX_PATH_BYTES
DIGEST_BYTES = 32
MAX_CHUNK_BYTES = 16 << 20

# Of a request that is parsed on the event loop: accents are the slowest, 50 ns a byte.
_LIGHT_BYTES = 100_000

_HASH = re.compile(r"[0-9a-f]{64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_USERNAME = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){2,38}")
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]{1,100}")
# More than Unicode's stream-safe format allows; accents are no word characters.
_ACCENTS = re.compile(r"(?<!\W)\W{31}")
_REF_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|^[./-]|[./]$|\.lock(?:/|$)")
_REF_RESERVED = frozenset({"HEAD", "FETCH_HEAD", "ORIG_HEAD", "MERGE_HEAD", "@"})
RESERVED_NAMES = frozenset(
    {"admin", "administrator", "root", "system", "dits", "api", "www", "help", "support"}
)


async def parse_in_time(parse: Callable[[Request], Parsed], request: Request) -> Parsed:
    """Returns what `parse` returns for a request, which it may refuse; for a large one, in a thread."""
    if request.ByteSize() <= _LIGHT_BYTES:
        return parse(request)
    return await asyncio.to_thread(parse, request)


def uuid(field: str, value: str) -> UUID:
    """A UUID in its usual text form."""
    if not is_uuid(value):
        raise invalid_field(field, "must be a UUID")
    return UUID(value)


def is_uuid(value: str) -> bool:
    """Whether the text is a UUID in its usual form."""
    return _UUID.fullmatch(value.lower()) is not None


def not_uuid(field: str, value: str) -> str:
    """A name that requests can tell from a UUID, which they take as well."""
    if is_uuid(value):
        raise invalid_field(field, "must not look like a UUID")
    return value


def digest(field: str, value: str) -> str:
    """A hash as 64 lower-case hexadecimal digits."""
    if not _HASH.fullmatch(value):
        raise invalid_field(field, "must be 64 lower-case hexadecimal digits")
    return value


def packed_digests(field: str, value: bytes) -> list[str]:
    """Hashes as concatenated raw bytes, at most MAX_HASHES; returned in hex, in order."""
    text = b"".join(raw_digests(field, value)).hex()
    return [text[i : i + 64] for i in range(0, len(text), 64)]


def raw_digests(field: str, value: bytes) -> list[bytes]:
    """As packed_digests, but returned as they came, 32 bytes each."""
    if len(value) % DIGEST_BYTES:
        raise invalid_field(field, f"its length must be a multiple of {DIGEST_BYTES} bytes")
    count = len(value) // DIGEST_BYTES
    if count > MAX_HASHES:
        raise batch_too_large(field, MAX_HASHES, count)
    return [value[i : i + DIGEST_BYTES] for i in range(0, len(value), DIGEST_BYTES)]


def text(field: str, value: str, *, most: int, least: int = 0) -> str:
    """Free text of one line, as names are, with a length in characters; blank text counts as empty."""
    require_line(field, value)
    if not least <= len(value) <= most:
        raise invalid_field(field, f"must have {least} to {most} characters")
    if least:
        _require_visible(field, value)
    return value


def _require_visible(field: str, value: str) -> None:
    if is_blank(value):
        raise invalid_field(field, "must have a character that can be seen")


def prose(field: str, value: str, *, most_bytes: int, required: bool = False) -> str:
    """Free text that may have several lines, with a length in bytes; blank text counts as empty."""
    if required:
        _require_visible(field, value)
    if fault := find_prose_fault(value):
        raise invalid_field(field, fault)
    if len(value.encode()) > most_bytes:
        raise invalid_field(field, f"must have at most {most_bytes} bytes")
    return value


def require_line(field: str, value: str) -> None:
    """Refuses what may not stand in any name: control characters, and what disguises their order."""
    if fault := find_line_fault(value):
        raise invalid_field(field, fault)


def plain_text(value: str, most: int) -> str:
    """Text that nobody validates, as metadata: its printable characters, at most `most` of them.

    What comes from elsewhere may hold NUL, which PostgreSQL refuses, and what a terminal obeys.
    """
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in value[:most]
    )


def username(field: str, value: str) -> str:
    """Name of a user or organisation."""
    if len(value) > 39 or not _USERNAME.fullmatch(value):
        raise invalid_field(
            field,
            "must have 3 to 39 letters, digits or single hyphens, and start and end with a letter "
            "or digit",
        )
    if value.lower() in RESERVED_NAMES:
        raise invalid_field(field, "is a reserved name")
    return not_uuid(field, value)


def repository_name(field: str, value: str) -> str:
    """Name of a repository, without its owner."""
    if not _REPOSITORY.fullmatch(value) or value in (".", ".."):
        raise invalid_field(field, "must have 1 to 100 of the characters A-Z a-z 0-9 . _ -")
    if value.lower().endswith(".git"):
        raise invalid_field(field, "must not end in .git")
    return value


def repository_address(field: str, value: str) -> UUID | tuple[str, str]:
    """A repository as requests name it: its UUID, or owner and name in lower case."""
    if is_uuid(value):
        return UUID(value)
    owner, slash, name = value.partition("/")
    if not slash or not _USERNAME.fullmatch(owner) or not _REPOSITORY.fullmatch(name):
        raise invalid_field(field, "must be a UUID or owner/name")
    return owner.lower(), name.lower()


def id_or_name(field: str, value: str) -> tuple[UUID | None, str | None]:
    """A user or organisation as requests name it: its UUID, or else its name in lower case."""
    if is_uuid(value):
        return UUID(value), None
    if len(value) > 39 or not _USERNAME.fullmatch(value):
        raise invalid_field(field, "must be a UUID or the name of an account")
    return None, value.lower()


def branch(field: str, value: str) -> str:
    """Name of a branch, by Git's rules for refs."""
    require_line(field, value)
    if not 1 <= len(value.encode()) <= 256:
        raise invalid_field(field, "must have 1 to 256 bytes")
    if _REF_FORBIDDEN.search(value) or value in _REF_RESERVED:
        raise invalid_field(field, "is not a valid name for a branch")
    if _HASH.fullmatch(value):
        raise invalid_field(field, "must not look like a commit")
    _require_visible(field, value)
    return value


def path(field: str, value: str, *, directory: bool = False) -> str:
    """A relative path in canonical form (NFC); with `directory` it may end in `/`."""
    canonical = canonical_path(field, value)
    if not canonical:
        raise invalid_field(field, f"must have 1 to {MAX_PATH_BYTES} bytes")
    if "\\" in canonical:
        raise invalid_field(field, "must not contain a backslash")
    parts = canonical.removesuffix("/") if directory else canonical
    if any(part in ("", ".", "..") for part in parts.split("/")):
        raise invalid_field(field, "must be relative, without empty, `.` or `..` parts")
    return canonical


def canonical_path(field: str, value: str) -> str:
    """A path, or the beginning of one, of at most MAX_PATH_BYTES in NFC; may be empty."""
    require_line(field, value)
    # NFC makes one character of at most three in two bytes, or of four in three.
    canonical = _normalize(field, value) if 2 * len(value) <= 3 * MAX_PATH_BYTES else None
    if canonical is None or len(canonical.encode()) > MAX_PATH_BYTES:
        raise invalid_field(field, f"must have at most {MAX_PATH_BYTES} bytes")
    return canonical


def _normalize(field: str, value: str) -> str:
    if unicodedata.is_normalized("NFC", value):
        return value
    # It takes time in the square of a row of accents.
    if _ACCENTS.search(value):
        raise invalid_field(field, "has too many accents in a row")
    return unicodedata.normalize("NFC", value)


def time(field: str, value: Timestamp) -> datetime:
    """A time, in UTC."""
    try:
        return value.ToDatetime(UTC)
    except ValueError:
        raise invalid_field(field, "is not a time") from None


def count(field: str, values: Sequence[object], most: int, least: int = 1) -> None:
    """The length of a batch."""
    if len(values) > most:
        raise batch_too_large(field, most, len(values))
    if len(values) < least:
        raise invalid_field(field, "must have at least one item")
