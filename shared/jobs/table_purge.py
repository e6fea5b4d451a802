"""The handler of jobs that delete the old rows of a table, batch by batch."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from dits.common.v1.job_pb2 import JobProgress
from google.protobuf.message import Message

from shared.db.pool import Database
from shared.jobs.running_job import RunningJob

# How many rows one statement deletes at most.
BATCH = 10_000


class TablePurge:
    """Deletes rows by a statement that takes `arguments` and a limit, and returns their `count`."""

    def __init__(self, query: str, *arguments: Any, batch: int = BATCH) -> None:
        self._query = query
        self._arguments = arguments
        self._batch = batch

    async def handle(self, job: RunningJob, _payload: Message) -> JobProgress:
        """Works on a job; returns how many rows it has deleted."""
        done = 0
        async with aclosing(self.delete_batches(job.database)) as counts:
            async for count in counts:
                done += count
                await job.report_progress(done)
        return JobProgress(done=done)

    async def delete_batches(self, database: Database) -> AsyncGenerator[int, None]:
        """Deletes until there is nothing to delete, and yields how many rows each statement deleted."""
        count = self._batch
        while count == self._batch:
            [row] = await database.statement(self._query, *self._arguments, self._batch)
            count = row["count"]
            yield count
