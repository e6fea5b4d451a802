"""Locks, events and history as messages of the API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, cast
from uuid import UUID

from dits.common.v1.event_pb2 import LockedPath, LockPayload
from dits.common.v1.lock_type_pb2 import LockType
from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks.rules import TYPE_VALUES
from shared.db.pool import Row
from shared.errors import LockConflict
from shared.outbox.stored_event import StoredEvent, parse_payload
from shared.rpc.timestamps import to_timestamp


def describe_lock(row: Row | Mapping[str, Any], caller_id: UUID | None) -> pb.Lock:
    """Returns the message of a row of `locks` with its holder's username as `owner`."""
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


def describe_conflict(path: str, held: pb.Lock) -> LockConflict:
    """Returns what LOCK_HELD tells of a lock that conflicts on a path."""
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


def describe_path(path: str, row: Row | None, caller_id: UUID | None) -> pb.PathStatus:
    """Returns the message of a path and the strongest lock that covers it; None = no lock does."""
    if row is None:
        return pb.PathStatus(path=path)
    return pb.PathStatus(
        path=path,
        blocked=row["blocked"],
        held=row["held"],
        lock_count=row["lock_count"],
        lock=describe_lock(row, caller_id),
    )


def describe_entry(row: Row) -> pb.HistoryEntry:
    """Returns the message of a row of `lock_history` with the usernames `owner` and `actor`."""
    return pb.HistoryEntry(
        lock_id=str(row["lock_id"]),
        path=row["path"],
        type=TYPE_VALUES[row["lock_type"]],
        fence=row["fence"],
        holder_id=str(row["owner_id"]),
        holder=row["owner"],
        action=pb.HistoryAction.Value(f"HISTORY_ACTION_{row['action'].upper()}"),
        time=row["action_at"],
        actor_id=str(row["action_by"] or ""),
        actor=row["actor"] or "",
        reason=row["reason"] or "",
        expire_time=row["expires_at"],
    )


async def describe_event(event: StoredEvent, caller_id: UUID | None) -> pb.LockEvent:
    """Returns the message of an event that emit_lock_events() has written."""
    payload = cast(LockPayload, await parse_payload(event))
    return pb.LockEvent(
        type=event.type,
        time=to_timestamp(event.created_at),
        actor_id=str(event.actor_id or ""),
        locks=[_describe_event_lock(payload, lock, caller_id) for lock in payload.locks],
        reason=payload.cause,
    )


def _describe_event_lock(payload: LockPayload, lock: LockedPath, caller_id: UUID | None) -> pb.Lock:
    return pb.Lock(
        id=lock.lock_id,
        path=lock.path,
        type=payload.type,
        holder_id=payload.holder_id,
        holder=payload.holder,
        ours=payload.holder_id == str(caller_id),
        reason=payload.reason,
        fence=lock.fence,
        lock_time=payload.lock_time,
        expire_time=payload.expire_time,
        release_on_push=payload.release_on_push,
        base_commit=payload.base_commit,
    )
