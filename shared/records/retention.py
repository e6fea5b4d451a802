"""Deletes what the shared tables need not keep any longer: events and request ids.

Every service process does it, for the database that it works on. In each table one process is at work at a
time; the others leave the table alone until their next round.
"""

from __future__ import annotations

from datetime import timedelta

from shared.db import sql
from shared.db.pool import Database
from shared.runtime.background import BackgroundTask

Q = sql.load(__file__)

PAUSE_SECONDS = 3600.0
# How many rows one statement deletes at most.
BATCH = 10_000
# How long watchers and webhooks can come back to where they were.
EVENTS_KEPT = timedelta(days=30)
# How long a repetition gets the first result.
IDEMPOTENCY_KEYS_KEPT = timedelta(hours=24)


class Retention:
    """Purges the shared tables of a database."""

    def __init__(self, database: Database, batch: int = BATCH) -> None:
        self._database = database
        self._batch = batch

    def task(self) -> BackgroundTask:
        """Returns what every service runs in the background."""
        return BackgroundTask("purge shared tables", self.purge_tables, PAUSE_SECONDS)

    async def purge_tables(self) -> None:
        """Deletes what has been kept for long enough; no event that a consumer has yet to read."""
        await self._purge(Q.purge_events, EVENTS_KEPT)
        await self._purge(Q.purge_idempotency_keys, IDEMPOTENCY_KEYS_KEPT)

    async def _purge(self, query: str, keep: timedelta) -> None:
        count = self._batch
        while count == self._batch:
            [row] = await self._database.statement(query, keep, self._batch)
            count = row["count"]
