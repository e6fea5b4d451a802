"""RenewLocks and ReleaseLocks: what holders do with their own locks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dits.common.v1.event_pb2 import EventType
from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks import messages, rules
from services.lock.locks.ends import End, end
from services.lock.locks.mutex import Turns
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import lock_stale, not_found
from shared.rpc.call import Call

Q = sql.load(__file__)


class Changing:
    """Renews and releases."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    async def RenewLocks(self, request: pb.RenewLocksRequest, call: Call) -> pb.RenewLocksResponse:
        """Makes locks of the caller last longer."""
        ids = rules.lock_ids("locks", [lock.lock_id for lock in request.locks])
        fences = [rules.fence(f"locks[{i}]", lock.fence) for i, lock in enumerate(request.locks)]
        ttl = rules.ttl(request.ttl, given=request.HasField("ttl"))
        is_atomic = rules.is_atomic(request.batch_mode)
        repo_id, me = call.repository.id, call.caller.user_id

        async def work(connection: Connection, now: datetime) -> pb.RenewLocksResponse:
            rows = await connection.fetch(
                Q.renew_locks, repo_id, me, ids, fences, now, now + ttl, rules.WARNING
            )
            renewed = {str(row["id"]): row for row in rows}
            left = [lock_id for lock_id in ids if lock_id not in renewed]
            own = await _settle(connection, call, left, now) if left else []
            stale = {str(row["lock_id"]) for row in own}
            if left and is_atomic:
                unknown = [lock_id for lock_id in left if lock_id not in stale]
                raise not_found("lock", unknown[0]) if unknown else lock_stale(left)
            results = [_renewal(lock_id, renewed.get(lock_id), stale, me) for lock_id in ids]
            return pb.RenewLocksResponse(results=results, server_time=messages.moment(now))

        return await self._turns.change(repo_id, work)

    async def ReleaseLocks(
        self, request: pb.ReleaseLocksRequest, call: Call
    ) -> pb.ReleaseLocksResponse:
        """Ends locks of the caller."""
        ids = rules.lock_ids("lock_ids", request.lock_ids)
        repo_id, me = call.repository.id, call.caller.user_id

        rows = await self._turns.statement(repo_id, Q.release, repo_id, me, ids)
        ended, released = pb.RELEASE_OUTCOME_ALREADY_ENDED, pb.RELEASE_OUTCOME_RELEASED
        outcomes = {str(row["lock_id"]): released if row["released"] else ended for row in rows[1:]}
        absent = pb.RELEASE_OUTCOME_NOT_FOUND
        results = [
            pb.ReleaseResult(lock_id=lock_id, outcome=outcomes.get(lock_id, absent))
            for lock_id in ids
        ]
        now = messages.moment(rows[0]["server_time"])
        return pb.ReleaseLocksResponse(results=results, server_time=now)


async def _settle(
    connection: Connection, call: Call, ids: Sequence[str], now: datetime
) -> list[Row]:
    """Those of the locks that the caller has had; what has expired of them gets its end."""
    repo_id, me = call.repository.id, call.caller.user_id
    own = await connection.fetch(Q.own_locks, repo_id, ids, me, now)
    expired = [row["lock_id"] for row in own if row["is_expired"]]
    await end(connection, repo_id, expired, now, End(EventType.EVENT_TYPE_LOCK_RELEASED, me))
    return own


def _renewal(lock_id: str, row: Row | None, stale: set[str], me: UUID) -> pb.RenewResult:
    if row is not None:
        outcome, lock = pb.RENEW_OUTCOME_RENEWED, messages.lock(row, me)
        return pb.RenewResult(lock_id=lock_id, outcome=outcome, lock=lock)
    known = lock_id in stale
    outcome = pb.RENEW_OUTCOME_STALE if known else pb.RENEW_OUTCOME_NOT_FOUND
    return pb.RenewResult(lock_id=lock_id, outcome=outcome)
