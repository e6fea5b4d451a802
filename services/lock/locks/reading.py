"""Reads of live locks: each answer is what holds at one moment, which no change of a lock can straddle."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks import messages, rules
from services.lock.locks.mutex import Turns
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import invalid_field, not_found
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# No user has this id: whoever asks for the locks of a stranger sees none.
_NOBODY = UUID(int=0)


class Reading:
    """Finds and lists locks."""

    def __init__(self, database: Database, turns: Turns, key: ServerKey) -> None:
        self._database = database
        self._turns = turns
        self._key = key

    async def GetLock(self, request: pb.GetLockRequest, call: Call) -> pb.GetLockResponse:
        """One live lock."""
        lock_id = validation.uuid("lock_id", request.lock_id)

        async def work(connection: Connection, now: datetime) -> pb.GetLockResponse:
            row = await connection.fetchrow(Q.get_lock, call.repository.id, lock_id, now)
            if row is None:
                raise not_found("lock", request.lock_id)
            return pb.GetLockResponse(
                lock=messages.lock(row, call.caller_id), server_time=messages.moment(now)
            )

        return await self._turns.read(call.repository.id, work)

    async def ListLocks(self, request: pb.ListLocksRequest, call: Call) -> pb.ListLocksResponse:
        """Locks by path."""
        page = Page(self._key, request, call)
        prefix = rules.prefix("path_prefix", request.path_prefix)
        after = page.after or (prefix, -1)
        query, user_id = await self._whose(request, call)

        async def work(connection: Connection, now: datetime) -> pb.ListLocksResponse:
            bounds = (*after, rules.prefix_end(prefix), page.size + 1)
            found = await connection.fetch(
                query, call.repository.id, now, *bounds, request.expired, user_id
            )
            rows, token = page.answer(found, lambda row: (row["path"], row["fence"]))
            return pb.ListLocksResponse(
                locks=[messages.lock(row, call.caller_id) for row in rows],
                next_page_token=token,
                server_time=messages.moment(now),
            )

        return await self._turns.read(call.repository.id, work)

    async def CheckPaths(self, request: pb.CheckPathsRequest, call: Call) -> pb.CheckPathsResponse:
        """What bears on each path."""
        paths = rules.paths(request.paths)

        async def work(connection: Connection, now: datetime) -> pb.CheckPathsResponse:
            repo_id, me = call.repository.id, call.caller_id
            rows = await connection.fetch(Q.check_paths, repo_id, paths, me, now)
            found = {
                row["asked"]: pb.PathStatus(
                    path=row["asked"],
                    blocked=row["blocked"],
                    held=row["held"],
                    lock_count=row["lock_count"],
                    lock=messages.lock(row, me),
                )
                for row in rows
            }
            statuses = [found.get(path) or pb.PathStatus(path=path) for path in paths]
            return pb.CheckPathsResponse(statuses=statuses, server_time=messages.moment(now))

        return await self._turns.read(call.repository.id, work)

    async def _whose(self, request: pb.ListLocksRequest, call: Call) -> tuple[str, UUID | None]:
        """The query that answers the request's filters by user, and its user."""
        if request.side not in pb.Side.values():
            raise invalid_field("side", "is not a side")
        owner = await find_user(self._database, request.holder, call)
        if request.side == pb.SIDE_UNSPECIFIED:
            return (Q.list_locks, None) if owner is None else (Q.list_locks_of, owner)
        me = call.caller.user_id
        if request.side == pb.SIDE_OURS:
            return Q.list_locks_of, me if owner in (None, me) else _NOBODY
        if owner is None:
            return Q.list_locks, me
        return Q.list_locks_of, owner if owner != me else _NOBODY


async def find_user(database: Database, name: str, call: Call) -> UUID | None:
    """The user that a filter names; None = any."""
    if not name:
        return None
    if name == "me":
        return call.caller.user_id
    username = validation.username("holder", name).lower()
    row = await database.fetchrow(Q.user_id, username)
    return row["id"] if row else _NOBODY
