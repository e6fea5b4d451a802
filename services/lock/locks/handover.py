"""TransferLock and ForceReleaseLock: one lock, and more than one person."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from dits.common.v1.event_pb2 import EventType
from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks import messages, notifications, rules
from services.lock.locks.ends import End, end
from services.lock.locks.mutex import Turns
from services.lock.locks.steal import require_admin
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invalid_field, lock_held, lock_stale, not_found
from shared.records.audit import AuditAction, audit
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)


class HandingOver:
    """Hands locks on and takes them away."""

    def __init__(self, turns: Turns, writes: IdempotentWrites) -> None:
        self._turns = turns
        self._writes = writes

    async def ForceReleaseLock(
        self, request: pb.ForceReleaseLockRequest, call: Call
    ) -> pb.ForceReleaseLockResponse:
        """Ends anybody's lock; the policy demands ADMIN."""
        lock_id = validation.uuid("lock_id", request.lock_id)
        reason = rules.reason(request.reason, required=True)
        repo_id, me = call.repository.id, call.caller.user_id

        async def work(connection: Connection, now: datetime) -> pb.ForceReleaseLockResponse:
            stamp = messages.moment(now)
            row = await _find(connection, repo_id, lock_id, now)
            if row["id"] is None:
                return pb.ForceReleaseLockResponse(already_ended=True, server_time=stamp)
            how = End(EventType.EVENT_TYPE_LOCK_FORCE_RELEASED, me, "force_released", reason)
            await end(connection, repo_id, [lock_id], now, how)
            owner_id = row["owner_id"]
            if owner_id != me:
                await notifications.taken(connection, call, owner_id, [row["path"]], reason)
            await audit(
                connection, call, AuditAction.LOCK_FORCE_RELEASED, "lock", lock_id, row["path"],
                repository=str(repo_id), holder=str(owner_id), reason=reason,
            )  # fmt: skip
            return pb.ForceReleaseLockResponse(lock=messages.lock(row, me), server_time=stamp)

        return await self._turns.change(repo_id, work)

    async def TransferLock(
        self, request: pb.TransferLockRequest, call: Call
    ) -> pb.TransferLockResponse:
        """Gives a lock to somebody else, with the time it has left."""
        lock_id = validation.uuid("lock.lock_id", request.lock.lock_id)
        fence = rules.fence("lock.fence", request.lock.fence)
        name = validation.username("new_holder", request.new_holder)

        async def work(connection: Connection, now: datetime) -> pb.TransferLockResponse:
            transfer = partial(
                _transfer, call=call, lock_id=lock_id, fence=fence, name=name, now=now
            )
            return await self._writes.once_in(
                connection, call, Repeatable.of(request), pb.TransferLockResponse, transfer
            )

        return await self._turns.change(call.repository.id, work)


async def _find(connection: Connection, repo_id: UUID, lock_id: UUID, now: datetime) -> Row:
    """A lock of the repository, live or not."""
    row = await connection.fetchrow(Q.named_lock, repo_id, lock_id, now)
    if row is None:
        raise not_found("lock", str(lock_id))
    return row


async def _transfer(
    connection: Connection, call: Call, lock_id: UUID, fence: int, name: str, now: datetime
) -> pb.TransferLockResponse:
    repo_id, me = call.repository.id, call.caller.user_id
    row = await _find(connection, repo_id, lock_id, now)
    is_mine = row["last_owner_id"] == me
    if not is_mine:
        require_admin(call)
    if row["id"] is None or row["fence"] != fence:
        raise lock_stale([str(lock_id)])
    heir = await connection.fetchrow(Q.writer, repo_id, name.lower())
    if heir is None or heir["id"] == row["owner_id"]:
        raise invalid_field("new_holder", "must be somebody else who may write to the repository")
    asked = (row["path"], row["lock_type"], now)
    obstacle = await connection.fetchrow(Q.obstacle, repo_id, heir["id"], *asked, lock_id)
    if obstacle is not None:
        raise lock_held([messages.lock_conflict(row["path"], messages.lock(obstacle, me))])
    action = "released" if is_mine else "force_released"
    how = End(EventType.EVENT_TYPE_LOCK_TRANSFERRED, me, action, f"handed on to {heir['username']}")
    await end(connection, repo_id, [lock_id], now, how)
    new = await connection.fetchrow(
        Q.hand_over,
        *(repo_id, row["path"], now, row["expires_at"], row["lock_type"], heir["id"], me),
        *(row["reason"], row["locked_at_commit"], row["release_on_push"], rules.WARNING),
    )
    assert new is not None  # noqa: S101  the obstacles were looked for in this turn
    await notifications.handed_on(connection, call, row["path"], row["owner_id"], heir["id"])
    if not is_mine:
        await audit(
            connection, call, AuditAction.LOCK_TRANSFERRED, "lock", lock_id, row["path"],
            repository=str(repo_id), holder=str(row["owner_id"]), new_holder=str(heir["id"]),
        )  # fmt: skip
    lock = messages.lock(
        {
            **row,
            "id": new["lock_id"],
            "fence": new["fence"],
            "owner_id": heir["id"],
            "owner": heir["username"],
            "locked_at": now,
        },
        me,
    )
    return pb.TransferLockResponse(lock=lock, server_time=messages.moment(now))
