"""How holders make their locks last longer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dits.common.v1.event_pb2 import EventType
from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks.ends import LockEnd, end_locks
from services.lock.locks.messages import describe_lock
from services.lock.locks.requests import RenewRequest
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import lock_stale, not_found
from shared.rpc.call import Call

Q = sql.load(__file__)


async def renew_locks(
    connection: Connection, now: datetime, call: Call, asked: RenewRequest
) -> list[pb.RenewResult]:
    """Renews locks of the caller, and returns the outcomes in the order of the request.

    Raises LOCK_STALE or NOT_FOUND if the batch is atomic and a lock cannot be renewed.
    """
    me = call.caller.user_id
    rows = await connection.fetch(
        *Q.bind.renew_locks(
            repository_id=call.repository.id,
            holder_id=me,
            lock_ids=asked.lock_ids,
            fences=asked.fences,
            now=now,
            expires_at=now + asked.ttl,
        )
    )
    renewed = {str(row["id"]): describe_lock(row, me) for row in rows}
    ended = [lock_id for lock_id in asked.lock_ids if lock_id not in renewed]
    stale = await _settle_ended(connection, call, ended, now) if ended else set()
    if ended and asked.is_atomic:
        unknown = [lock_id for lock_id in ended if lock_id not in stale]
        raise not_found("lock", unknown[0]) if unknown else lock_stale(ended)
    return [_describe_renewal(lock_id, renewed.get(lock_id), stale) for lock_id in asked.lock_ids]


async def _settle_ended(
    connection: Connection, call: Call, ids: Sequence[str], now: datetime
) -> set[str]:
    """Returns those of the locks that the caller has had, and ends those of them that have expired."""
    repository_id, me = call.repository.id, call.caller.user_id
    own = await connection.fetch(Q.own_locks, repository_id, ids, me, now)
    expired: list[UUID] = [row["lock_id"] for row in own if row["is_expired"]]
    await end_locks(
        connection, repository_id, expired, now, LockEnd(EventType.EVENT_TYPE_LOCK_RELEASED, me)
    )
    return {str(row["lock_id"]) for row in own}


def _describe_renewal(lock_id: str, lock: pb.Lock | None, stale: set[str]) -> pb.RenewResult:
    if lock is not None:
        return pb.RenewResult(lock_id=lock_id, outcome=pb.RENEW_OUTCOME_RENEWED, lock=lock)
    is_known = lock_id in stale
    outcome = pb.RENEW_OUTCOME_STALE if is_known else pb.RENEW_OUTCOME_NOT_FOUND
    return pb.RenewResult(lock_id=lock_id, outcome=outcome)
