"""Writes down the ends of expired locks and warns of those to come.

Nothing depends on it: an expired lock is as good as gone whether or not its end has been written, and who
touches it first writes it. Any number of replicas may do this at once.
"""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from operator import itemgetter
from uuid import UUID

import structlog

from services.lock.locks import notifications, rules
from services.lock.locks.ends import BATCH, end_expired
from services.lock.locks.mutex import Turns
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import DomainError

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 10.0


class Reaper:
    """The background work of the lock service."""

    def __init__(self, database: Database, turns: Turns) -> None:
        self._database = database
        self._turns = turns

    async def reap(self) -> None:
        """Ends what has expired and warns of what is about to, in every repository."""
        for row in await self._database.fetch(Q.due, rules.WARNING):
            try:
                while await self._reap(row["repo_id"]):
                    pass
            except DomainError as error:
                # Others keep it busy; its turn comes again.
                log.info("locks not reaped", repository=str(row["repo_id"]), cause=error.message)

    async def _reap(self, repo_id: UUID) -> bool:
        """One batch of one repository; whether there was anything to do."""

        async def work(connection: Connection, now: datetime) -> bool:
            ended = await end_expired(connection, repo_id, now)
            warned = await connection.fetch(Q.warn, repo_id, now, rules.WARNING, BATCH)
            for owner_id, group in groupby(warned, key=itemgetter("owner_id")):
                locks = list(group)
                first_end = min(lock["expires_at"] for lock in locks)
                paths = [lock["path"] for lock in locks]
                await notifications.expiring(connection, repo_id, owner_id, paths, first_end)
            return bool(ended or warned)

        return await self._turns.change(repo_id, work)
