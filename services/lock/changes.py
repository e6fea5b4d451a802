"""RenewLocks and ReleaseLocks: what holders do with their own locks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock import messages, rules
from services.lock.feed import Feed
from shared import sql
from shared.call import Call
from shared.db import Connection, Database, Row
from shared.errors import not_found

Q = sql.load(__file__)


class Changing:
    """Renews and releases."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed

    async def RenewLocks(self, request: pb.RenewLocksRequest, call: Call) -> pb.RenewLocksResponse:
        """Makes locks of the caller last longer."""
        ids = rules.lock_ids("locks", [lock.lock_id for lock in request.locks])
        fences = [rules.fence(f"locks[{i}]", lock.fence) for i, lock in enumerate(request.locks)]
        ttl = rules.ttl(request.ttl, given=request.HasField("ttl"))
        is_atomic = rules.is_atomic(request.mode)
        repo_id, me = call.repository.id, call.caller.user_id

        async def work(connection: Connection) -> pb.RenewLocksResponse:
            now = await connection.fetchval(Q.lock_now, repo_id)
            rows = await connection.fetch(
                Q.renew_locks, repo_id, me, ids, fences, now, now + ttl, rules.WARNING
            )
            renewed = {str(row["id"]): row for row in rows}
            left = [lock_id for lock_id in ids if lock_id not in renewed]
            own = await _settle(connection, call, left, now) if left else []
            stale = {str(row["lock_id"]) for row in own}
            if left and is_atomic:
                unknown = [lock_id for lock_id in left if lock_id not in stale]
                raise not_found("lock", unknown[0]) if unknown else messages.lock_stale(left)
            results = [_renewal(lock_id, renewed.get(lock_id), stale, me) for lock_id in ids]
            return pb.RenewLocksResponse(results=results, server_time=now)

        response = await self._database.transaction(work)
        self._feed.changed(repo_id)
        return response

    async def ReleaseLocks(
        self, request: pb.ReleaseLocksRequest, call: Call
    ) -> pb.ReleaseLocksResponse:
        """Ends locks of the caller."""
        ids = rules.lock_ids("lock_ids", request.lock_ids)
        repo_id, me = call.repository.id, call.caller.user_id

        async def work(connection: Connection) -> pb.ReleaseLocksResponse:
            now = await connection.fetchval(Q.lock_now, repo_id)
            own = await connection.fetch(Q.own_locks, repo_id, ids, me, now)
            outcomes = {str(row["lock_id"]): pb.RELEASE_OUTCOME_ALREADY_ENDED for row in own}
            there = [row["lock_id"] for row in own if row["has_row"]]
            for row in await _end(connection, repo_id, there, now, me):
                if row["action"] == "released":
                    outcomes[str(row["lock_id"])] = pb.RELEASE_OUTCOME_RELEASED
            absent = pb.RELEASE_OUTCOME_NOT_FOUND
            results = [
                pb.ReleaseResult(lock_id=lock_id, outcome=outcomes.get(lock_id, absent))
                for lock_id in ids
            ]
            return pb.ReleaseLocksResponse(results=results, server_time=now)

        response = await self._database.transaction(work)
        self._feed.changed(repo_id)
        return response


async def _settle(
    connection: Connection, call: Call, ids: Sequence[str], now: datetime
) -> list[Row]:
    """Those of the locks that the caller has had; what has expired of them gets its end."""
    repo_id, me = call.repository.id, call.caller.user_id
    own = await connection.fetch(Q.own_locks, repo_id, ids, me, now)
    await _end(connection, repo_id, [row["lock_id"] for row in own if row["is_expired"]], now, me)
    return own


async def _end(
    connection: Connection, repo_id: UUID, ids: Sequence[UUID], now: datetime, actor_id: UUID
) -> list[Row]:
    if not ids:
        return []
    how = ("released", actor_id, None, "lock.released")
    return await connection.fetch(Q.end_locks, repo_id, ids, now, *how)


def _renewal(lock_id: str, row: Row | None, stale: set[str], me: UUID) -> pb.RenewResult:
    if row is not None:
        outcome, lock = pb.RENEW_OUTCOME_RENEWED, messages.lock(row, me)
        return pb.RenewResult(lock_id=lock_id, outcome=outcome, lock=lock)
    known = lock_id in stale
    outcome = pb.RENEW_OUTCOME_STALE if known else pb.RENEW_OUTCOME_NOT_FOUND
    return pb.RenewResult(lock_id=lock_id, outcome=outcome)
