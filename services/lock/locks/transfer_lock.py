"""How a lock passes to another user: it ends, and the new holder gets a new one."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from dits.common.v1.event_pb2 import EventType
from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks.ends import LockEnd, end_locks
from services.lock.locks.grants import LockTerms, grant_locks, judge_locks
from services.lock.locks.messages import describe_conflict, describe_lock
from services.lock.locks.named_lock import fetch_named_lock
from services.lock.locks.requests import TransferRequest
from services.lock.locks.steal_locks import require_admin
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invalid_field, lock_held, lock_stale
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Call
from shared.rpc.timestamps import to_timestamp

Q = sql.load(__file__)


async def transfer_lock(
    connection: Connection, now: datetime, call: Call, asked: TransferRequest
) -> pb.TransferLockResponse:
    """Ends a lock and grants the new holder one for the time that was left.

    Raises LOCK_STALE if the lock has ended or has another fence, LOCK_HELD if a lock conflicts with
    the new holder's, and INVALID_FIELD if that user may not write.
    """
    me, lock_id = call.caller.user_id, asked.lock_id
    row = await fetch_named_lock(connection, call.repository.id, lock_id, now)
    is_mine = row["last_owner_id"] == me
    if not is_mine:
        require_admin(call)
    if row["id"] is None or row["fence"] != asked.fence:
        raise lock_stale([str(lock_id)])
    new_holder = await _fetch_new_holder(connection, call, asked, row["owner_id"])
    terms = LockTerms(
        holder_id=new_holder["id"],
        lock_type=row["lock_type"],
        reason=row["reason"],
        base_commit=row["locked_at_commit"],
        release_on_push=row["release_on_push"],
    )
    await _require_free(connection, call, row, terms, now)
    action = "released" if is_mine else "force_released"
    reason = f"transferred to {new_holder['username']}"
    end = LockEnd(EventType.EVENT_TYPE_LOCK_TRANSFERRED, me, action, reason)
    await end_locks(connection, call.repository.id, [lock_id], now, end)
    [new] = await grant_locks(
        connection, call.repository.id, [row["path"]], terms, now, row["expires_at"], me
    )
    if not is_mine:
        await _audit_transfer(connection, call, row, new_holder["id"])
    granted = {"id": new["lock_id"], "fence": new["fence"], "locked_at": now}
    owned = {"owner_id": new_holder["id"], "owner": new_holder["username"]}
    return pb.TransferLockResponse(
        lock=describe_lock({**row, **granted, **owned}, me), server_time=to_timestamp(now)
    )


async def _fetch_new_holder(
    connection: Connection, call: Call, asked: TransferRequest, holder_id: UUID
) -> Row:
    """Returns id and username of the new holder, or raises INVALID_FIELD."""
    new_holder = await connection.fetchrow(Q.writer, call.repository.id, asked.new_holder)
    if new_holder is None or new_holder["id"] == holder_id:
        raise invalid_field("new_holder", "must be another user who may write to the repository")
    return new_holder


async def _require_free(
    connection: Connection, call: Call, row: Row, terms: LockTerms, now: datetime
) -> None:
    """Raises LOCK_HELD if the new holder meets another lock than the one that is transferred."""
    path = row["path"]
    met = await judge_locks(connection, call.repository.id, [path], terms, now, [row["id"]])
    if met:
        lock = describe_lock(met[0], call.caller.user_id)
        raise lock_held([describe_conflict(path, lock)])


async def _audit_transfer(
    connection: Connection, call: Call, row: Row, new_holder_id: UUID
) -> None:
    await audit(
        connection, call, AuditAction.LOCK_TRANSFERRED, "lock", row["id"], row["path"],
        repository_id=call.repository.id, holder=str(row["owner_id"]), new_holder=str(new_holder_id),
    )  # fmt: skip
