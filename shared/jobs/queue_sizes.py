"""How many jobs wait, and how many are dead letters, for the metrics."""

from __future__ import annotations

from collections.abc import Sequence

from shared.db import sql
from shared.db.pool import Database
from shared.runtime import metrics
from shared.runtime.background import BackgroundTask

Q = sql.load(__file__)

PAUSE_SECONDS = 60.0
# Counting ends here: from some number on it is too many, whatever it is.
MOST = 10_000


class QueueSizes:
    """Measures the queues of a worker."""

    def __init__(self, database: Database, queues: Sequence[str]) -> None:
        self._database = database
        self._queues = queues

    def task(self) -> BackgroundTask:
        """Returns what a worker runs in the background."""
        return BackgroundTask("measure queues", self.measure_queues, PAUSE_SECONDS)

    async def measure_queues(self) -> None:
        """Sets the metrics of each queue."""
        for row in await self._database.fetch(Q.queue_sizes, self._queues, MOST):
            metrics.JOBS_DUE.labels(row["queue"]).set(row["due"])
            metrics.DEAD_JOBS.labels(row["queue"]).set(row["dead"])
