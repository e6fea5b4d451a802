"""Rows as messages, and locks as conflicts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from dits.common.v1.lock_type_pb2 import LockType
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from services.lock.locks.rules import TYPE_VALUES
from shared.db.pool import Row
from shared.errors import LockConflict


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


def lock_conflict(path: str, held: pb.Lock) -> LockConflict:
    """Returns what LOCK_HELD tells of a lock that is in the way of a path."""
    return LockConflict(
        path,
        held.id,
        held.path,
        LockType.Name(held.type).removeprefix("LOCK_TYPE_").lower(),
        held.holder,
        held.lock_time.ToDatetime(UTC),
        held.expire_time.ToDatetime(UTC),
        held.reason,
    )
