"""Writes the ends of expired locks, and warns holders before the end.

No answer depends on it: an expired lock excludes nothing, whether its end is written or not, and
the next change of the path writes it. Any number of replicas may do this at once.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

import structlog

from services.lock.locks.ends import BATCH, end_expired_locks
from services.lock.locks.mutex import LockMutex
from shared.db import sql
from shared.db.pool import Connection, Databases
from shared.errors import DomainError

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 10.0


class LockExpiry:
    """The background work of the lock service, in all databases."""

    def __init__(self, databases: Databases, mutex: LockMutex) -> None:
        self._databases = databases
        self._mutex = mutex

    async def process_due_locks(self) -> None:
        """Ends the locks that have expired and warns of those that will, in every repository."""
        for database in self._databases.every():
            for row in await database.fetch(Q.due_repositories):
                await self._process_repository(row["repo_id"])

    async def _process_repository(self, repository_id: UUID) -> None:
        work = partial(_process_batch, repository_id=repository_id)
        is_more = True
        try:
            while is_more:
                is_more, _ = await self._mutex.change_locks(repository_id, work)
        except DomainError as error:
            # Others keep the mutex; the next round tries again.
            log.info("locks not ended", repository=str(repository_id), cause=error.message)


async def _process_batch(connection: Connection, now: datetime, repository_id: UUID) -> bool:
    """Ends and warns of a batch of locks; returns whether there were any."""
    ended = await end_expired_locks(connection, now, repository_id)
    warned = await connection.fetchval(Q.mark_warned_locks, repository_id, now, BATCH)
    return bool(ended or warned)
