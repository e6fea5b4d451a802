"""What a request about locks may say: paths, modes, times, reasons."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import timedelta

from dits.common.v1.lock_type_pb2 import LockType
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from shared.errors import invalid_field
from shared.rpc import validation

MIN_TTL = timedelta(seconds=10)
MAX_TTL = timedelta(days=7)
DEFAULT_TTL = timedelta(hours=8)
# How long before its end the owner of a lock is warned.
WARNING = timedelta(minutes=15)
MAX_LOCKS = 1_000
MAX_STOLEN = 100
# In bytes, so that an answer with 1,000 locks stays below the 4 MiB that clients accept by default.
MAX_REASON_BYTES = 1_024

_TYPES = {
    LockType.LOCK_TYPE_UNSPECIFIED: "exclusive",
    LockType.LOCK_TYPE_EXCLUSIVE: "exclusive",
    LockType.LOCK_TYPE_SHARED: "shared",
    LockType.LOCK_TYPE_ADVISORY: "advisory",
}
TYPE_VALUES = {name: value for value, name in _TYPES.items()}


def lock_type(value: LockType.ValueType) -> str:
    """The mode as the database names it."""
    if value not in _TYPES:
        raise invalid_field("type", "is not a lock type")
    return _TYPES[value]


def is_atomic(value: pb.BatchMode.ValueType) -> bool:
    """Whether a batch is all or nothing."""
    if value not in pb.BatchMode.values():
        raise invalid_field("batch_mode", "is not a batch mode")
    return value != pb.BATCH_MODE_PER_PATH


def conflict(held: str, asked: str) -> bool:
    """Whether two modes exclude each other where they meet."""
    return "advisory" not in (held, asked) and "exclusive" in (held, asked)


def overlap(path: str, other: str) -> bool:
    """Whether two paths are the same, or one is a directory with the other below it."""
    return (
        path == other
        or (path.endswith("/") and other.startswith(path))
        or (other.endswith("/") and path.startswith(other))
    )


def paths(values: Sequence[str]) -> list[str]:
    """Paths of files and directories in canonical form, in order, each once."""
    validation.count("paths", values, validation.MAX_PATHS)
    canonical = [
        validation.path(f"paths[{i}]", value, directory=True) for i, value in enumerate(values)
    ]
    _each_once("paths", canonical)
    return canonical


def lock_ids(
    field: str, values: Sequence[str], *, most: int = MAX_LOCKS, least: int = 1
) -> list[str]:
    """Ids of locks in canonical text, in order, each once."""
    validation.count(field, values, most, least)
    canonical = [str(validation.uuid(f"{field}[{i}]", value)) for i, value in enumerate(values)]
    _each_once(field, canonical)
    return canonical


def fence(field: str, value: int) -> int:
    """The fence of a lock."""
    if value < 1:
        raise invalid_field(field, "must be the fence that the lock came with")
    return value


def ttl(value: Duration, *, given: bool) -> timedelta:
    """How long a lock shall last."""
    if not given:
        return DEFAULT_TTL
    if 0 <= value.nanos < 1_000_000_000 and 0 <= value.seconds <= MAX_TTL.total_seconds():
        asked = timedelta(seconds=value.seconds, microseconds=value.nanos // 1_000)
        if MIN_TTL <= asked <= MAX_TTL:
            return asked
    raise invalid_field("ttl", "must be 10 seconds to 7 days")


def reason(value: str, *, required: bool = False) -> str:
    """Why, in words for people."""
    if "\0" in value:
        raise invalid_field("reason", "must not contain NUL")
    if len(value.encode()) > MAX_REASON_BYTES:
        raise invalid_field("reason", f"must have at most {MAX_REASON_BYTES} bytes")
    if required and not value.strip():
        raise invalid_field("reason", "must say why")
    return value


def _each_once(field: str, values: Sequence[str]) -> None:
    seen: set[str] = set()
    for i, value in enumerate(values):
        if value in seen:
            raise invalid_field(f"{field}[{i}]", "stands there twice")
        seen.add(value)


# Beyond every path of 1,024 bytes, in byte order.
_END = "\U0010ffff" * 257


def prefix(field: str, value: str) -> str:
    """The beginning of a path in canonical form; may be empty."""
    if "\0" in value:
        raise invalid_field(field, "must not contain NUL")
    canonical = unicodedata.normalize("NFC", value)
    if len(canonical.encode()) > validation.MAX_PATH_BYTES:
        raise invalid_field(field, f"must have at most {validation.MAX_PATH_BYTES} bytes")
    return canonical


def prefix_end(value: str) -> str:
    """The first text, in byte order, behind all paths that begin with `value`."""
    stem = value.rstrip("\U0010ffff")
    if not stem:
        return _END
    following = ord(stem[-1]) + 1
    # UTF-8 has no surrogates.
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)
