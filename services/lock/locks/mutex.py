"""The mutex of a repository's locks: one transaction after the other changes them.

The database holds the mutex, for all processes. The callers of one process queue here before they
take one of AT_ONCE connections, so that a repository with many callers does not use up the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from shared.db import sql
from shared.db.pool import Connection, Databases, Row
from shared.records.events import CHANNEL
from shared.records.ownership import require_unchanged
from shared.rpc.call import Call

Q = sql.load(__file__)

# One at work, and one that waits in the database and goes on as soon as the mutex is free.
AT_ONCE = 2

Result = TypeVar("Result")
# Gets the time of the repository, which counts for everything that it judges and writes.
Work: TypeAlias = Callable[[Connection, datetime], Awaitable[Result]]


class LockMutex:
    """Transactions on the locks of a repository, and the time that each of them has."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._queues: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    async def change_locks(
        self, repository_id: UUID, work: Work[Result], call: Call | None = None
    ) -> tuple[Result, datetime]:
        """Runs `work` while nobody else changes or reads the locks; returns its result and its time.

        For a call, raises what `require_unchanged` raises.
        """

        async def transaction(connection: Connection) -> tuple[Result, datetime]:
            if call is not None:
                # Who changes the repository is waited for before the mutex is taken.
                await require_unchanged(connection, call)
            now: datetime = await connection.fetchval(Q.take_mutex, repository_id)
            return await work(connection, now), now

        async with self._queue(repository_id):
            result = await self._databases.of(repository_id).transaction(transaction)
        self._wake_watchers(repository_id)
        return result

    async def execute_change(
        self, repository_id: UUID, statement: str, *arguments: object
    ) -> list[Row]:
        """Returns the rows of one statement that takes the mutex itself and changes locks."""
        async with self._queue(repository_id):
            rows = await self._databases.of(repository_id).statement(statement, *arguments)
        self._wake_watchers(repository_id)
        return rows

    async def read_locks(
        self, repository_id: UUID, bind: Callable[..., tuple[Any, ...]], **values: object
    ) -> tuple[list[Row], datetime]:
        """Returns the rows of a query, and the time at which no change was under way.

        The query gets `repository_id` and `now` besides `values`.
        """

        async def transaction(connection: Connection) -> tuple[list[Row], datetime]:
            now: datetime = await connection.fetchval(Q.share_mutex, repository_id)
            query = bind(repository_id=repository_id, now=now, **values)
            return await connection.fetch(*query), now

        return await self._databases.of(repository_id).transaction(transaction)

    def _wake_watchers(self, repository_id: UUID) -> None:
        """Tells all processes that there are events, which functions in SQL have emitted."""
        self._databases.of(repository_id).hints.add([(CHANNEL, str(repository_id))])

    def _queue(self, repository_id: UUID) -> asyncio.Semaphore:
        queue = self._queues.get(repository_id)
        if queue is None:
            queue = self._queues[repository_id] = asyncio.Semaphore(AT_ONCE)
        return queue
