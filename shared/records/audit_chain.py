"""Seals the audit log: settled rows are added to the chains of hashes of their months."""

from __future__ import annotations

from shared.db import sql
from shared.db.pool import Database
from shared.runtime import metrics
from shared.runtime.background import BackgroundTask

Q = sql.load(__file__)

# How long a row can be changed without a trace.
PAUSE_SECONDS = 5.0
# How many rows one transaction seals.
BATCH = 1_000


class AuditSealer:
    """Seals the audit log of a database; of many that do, one works at a time."""

    def __init__(self, database: Database, batch: int = BATCH) -> None:
        self._database = database
        self._batch = batch

    def task(self) -> BackgroundTask:
        """Returns what one service of each database runs in the background."""
        return BackgroundTask("seal the audit log", self.seal_rows, PAUSE_SECONDS)

    async def seal_rows(self) -> None:
        """Seals all rows that are settled, and shows in the metrics how far that has come."""
        count = self._batch
        while count == self._batch:
            [row] = await self._database.statement(Q.seal_audit_rows, self._batch)
            count = row["count"]
        [row] = await self._database.fetch(Q.seal_lag)
        metrics.AUDIT_LAG_SECONDS.set(row["seconds"])
