"""Deletes the counts of attempts that no longer say anything."""

from __future__ import annotations

from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)

PURGE_SECONDS = 900.0
# How many rows one statement deletes at most.
BATCH = 10_000


class ThrottlePurge:
    """Purges login_throttles, in which strangers can make the server insert rows."""

    def __init__(self, database: Database, batch: int = BATCH) -> None:
        self._database = database
        self._batch = batch

    async def purge(self) -> None:
        """Deletes the buckets whose window is over and that are open."""
        count = self._batch
        while count == self._batch:
            [row] = await self._database.statement(Q.purge_throttles, self._batch)
            count = row["count"]
