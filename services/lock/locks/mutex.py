"""Turns: the locks of a repository are changed by one transaction after the other.

The database sees to that, for all processes. The callers of one process queue here before they take one of
AT_ONCE connections, so that a repository that everybody wants does not use up the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from services.lock.locks.change_signal import Feed
from shared.db import sql
from shared.db.pool import Connection, Database, Row

Q = sql.load(__file__)

# One at work, and one in the database that goes on as soon as the turn is free.
AT_ONCE = 2

Result = TypeVar("Result")
# Gets the time that counts for everything that it judges and writes.
Work: TypeAlias = Callable[[Connection, datetime], Awaitable[Result]]


class Turns:
    """Transactions on the locks of a repository."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed
        self._queues: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    async def change(self, repo_id: UUID, work: Work[Result]) -> Result:
        """Runs `work` while nobody else changes or judges the locks of the repository."""

        async def transaction(connection: Connection) -> Result:
            return await work(connection, await connection.fetchval(Q.lock_now, repo_id))

        async with self._queue(repo_id):
            result = await self._database.transaction(transaction)
        self._feed.changed(repo_id)
        return result

    async def statement(self, repo_id: UUID, query: str, *arguments: object) -> list[Row]:
        """Runs one statement that takes the turn itself."""
        async with self._queue(repo_id):
            rows = await self._database.statement(query, *arguments)
        self._feed.changed(repo_id)
        return rows

    async def read(self, repo_id: UUID, work: Work[Result]) -> Result:
        """Runs `work`, which only reads, while nobody changes the locks of the repository."""

        async def transaction(connection: Connection) -> Result:
            return await work(connection, await connection.fetchval(Q.lock_hold, repo_id))

        return await self._database.transaction(transaction)

    def _queue(self, repo_id: UUID) -> asyncio.Semaphore:
        queue = self._queues.get(repo_id)
        if queue is None:
            queue = self._queues[repo_id] = asyncio.Semaphore(AT_ONCE)
        return queue
