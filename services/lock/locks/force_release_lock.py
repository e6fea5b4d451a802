"""How an administrator ends a lock of any user."""

from __future__ import annotations

from datetime import datetime

from dits.common.v1.event_pb2 import EventType
from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks.ends import LockEnd, end_locks
from services.lock.locks.messages import describe_lock
from services.lock.locks.named_lock import fetch_named_lock
from services.lock.locks.requests import ForceReleaseRequest
from shared.db.pool import Connection
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Call


async def force_release_lock(
    connection: Connection, now: datetime, call: Call, asked: ForceReleaseRequest
) -> pb.Lock | None:
    """Ends a lock and returns it as it was, or None if it had ended before. Its holder learns of it."""
    repository_id, me, reason = call.repository.id, call.caller.user_id, asked.reason
    row = await fetch_named_lock(connection, repository_id, asked.lock_id, now)
    if row["id"] is None:
        return None
    holder_id, path = row["owner_id"], row["path"]
    end = LockEnd(EventType.EVENT_TYPE_LOCK_FORCE_RELEASED, me, "force_released", reason)
    await end_locks(connection, repository_id, [asked.lock_id], now, end)
    await audit(
        connection, call, AuditAction.LOCK_FORCE_RELEASED, "lock", asked.lock_id, path,
        repository_id=repository_id, holder=str(holder_id), reason=reason,
    )  # fmt: skip
    return describe_lock(row, me)
