"""What a request about locks may say: paths, lock types, times, reasons.

Which locks exclude each other, the database knows: `migrations/functions/lock/rules.sql`.
"""

from __future__ import annotations

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


def parse_lock_type(value: LockType.ValueType) -> str:
    """Returns a lock type as the database names it."""
    if value not in _TYPES:
        raise invalid_field("type", "is not a lock type")
    return _TYPES[value]


def parse_is_atomic(value: pb.BatchMode.ValueType) -> bool:
    """Returns whether a batch is all or nothing."""
    if value not in pb.BatchMode.values():
        raise invalid_field("batch_mode", "is not a batch mode")
    return value != pb.BATCH_MODE_PER_PATH


def parse_paths(values: Sequence[str]) -> list[str]:
    """Returns paths of files and directories in canonical form, in order. Each may occur once."""
    validation.count("paths", values, validation.MAX_PATHS)
    canonical = [
        validation.path(f"paths[{i}]", value, directory=True) for i, value in enumerate(values)
    ]
    _require_distinct("paths", canonical)
    return canonical


def parse_lock_ids(
    field: str, values: Sequence[str], *, most: int = MAX_LOCKS, least: int = 1
) -> list[str]:
    """Returns ids of locks in canonical text, in order. Each may occur once."""
    validation.count(field, values, most, least)
    canonical = [str(validation.uuid(f"{field}[{i}]", value)) for i, value in enumerate(values)]
    _require_distinct(field, canonical)
    return canonical


def parse_fence(field: str, value: int) -> int:
    """Returns the fence of a lock."""
    if value < 1:
        raise invalid_field(field, "must be the fence that the lock came with")
    return value


def parse_ttl(value: Duration, *, given: bool) -> timedelta:
    """Returns how long a lock shall last; the default unless a time is given."""
    if not given:
        return DEFAULT_TTL
    if 0 <= value.nanos < 1_000_000_000 and 0 <= value.seconds <= MAX_TTL.total_seconds():
        ttl = timedelta(seconds=value.seconds, microseconds=value.nanos // 1_000)
        if MIN_TTL <= ttl <= MAX_TTL:
            return ttl
    raise invalid_field("ttl", "must be 10 seconds to 7 days")


def parse_reason(value: str, *, required: bool = False) -> str:
    """Returns a reason, which people read."""
    return validation.prose("reason", value, most_bytes=MAX_REASON_BYTES, required=required)


def parse_prefix(field: str, value: str) -> str:
    """Returns the beginning of a path in canonical form; may be empty."""
    return validation.canonical_path(field, value)


# Behind every path of 1,024 bytes, in byte order.
_END = "\U0010ffff" * 257


def compute_prefix_end(prefix: str) -> str:
    """Returns the first text, in byte order, behind all paths that begin with `prefix`."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return _END
    following = ord(stem[-1]) + 1
    # UTF-8 has no surrogates.
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)


def _require_distinct(field: str, values: Sequence[str]) -> None:
    seen: set[str] = set()
    for i, value in enumerate(values):
        if value in seen:
            raise invalid_field(f"{field}[{i}]", "stands there twice")
        seen.add(value)
