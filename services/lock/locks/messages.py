"""Rows as messages, and locks as errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from services.lock.locks.rules import TYPE_VALUES
from shared.db.pool import Row
from shared.errors import DomainError, Reason, precondition, time_text

Conflict = tuple[str, pb.Lock]


def lock(row: Row | Mapping[str, Any], caller_id: UUID | None) -> pb.Lock:
    """A row of `locks` with its owner's username as `owner`."""
    return pb.Lock(
        id=str(row["id"]),
        path=row["path"],
        type=TYPE_VALUES[row["lock_type"]],
        holder_id=str(row["owner_id"]),
        holder=row["owner"],
        ours=row["owner_id"] == caller_id,
        reason=row["reason"] or "",
        fence=row["fence"],
        lock_time=row["locked_at"],
        expire_time=row["expires_at"],
        release_on_push=row["release_on_push"],
        base_commit=row["locked_at_commit"] or "",
    )


def moment(at: datetime) -> Timestamp:
    """A time of the database."""
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def lock_held(conflicts: Sequence[Conflict]) -> DomainError:
    """LOCK_HELD for (path, the lock that is in its way)."""
    path, first = conflicts[0]
    return precondition(
        Reason.ERROR_REASON_LOCK_HELD,
        _sentence(path, first),
        {
            "count": str(len(conflicts)),
            "path": path,
            "lock_id": first.id,
            "lock_path": first.path,
            "holder": first.holder,
            "since": time_text(first.lock_time.ToDatetime(UTC)),
            "expires": time_text(first.expire_time.ToDatetime(UTC)),
            "reason": first.reason,
        },
        [(asked, _sentence(asked, held)) for asked, held in conflicts],
    )


def lock_stale(lock_ids: Sequence[str]) -> DomainError:
    """LOCK_STALE for locks that the caller held and holds no longer, or not under that fence."""
    return precondition(
        Reason.ERROR_REASON_LOCK_STALE,
        f"the lock {lock_ids[0]} is no longer yours, or its fence is another",
        {"count": str(len(lock_ids)), "lock_id": lock_ids[0]},
        [(lock_id, "no longer held under this fence") for lock_id in lock_ids],
    )


def _sentence(path: str, held: pb.Lock) -> str:
    where = "" if held.path == path else f" by the lock on {held.path}"
    why = f" ({held.reason})" if held.reason else ""
    lock_type = pb.LockType.Name(held.type).removeprefix("LOCK_TYPE_").lower()
    since, until = (
        time_text(held.lock_time.ToDatetime(UTC)),
        time_text(held.expire_time.ToDatetime(UTC)),
    )
    return f"{path} is held{where}: {lock_type}, by {held.holder} since {since} until {until}{why}"
