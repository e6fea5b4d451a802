"""The job of every night that measures usage and makes the billing snapshots."""

from __future__ import annotations

from contextlib import aclosing

from dits.common.v1.job_pb2 import JobProgress, MeasureUsagePayload

from services.repo.usage.measurement import measure_usage
from shared.jobs.running_job import RunningJob
from shared.jobs.schedule import Schedule

# Late enough for what servers have counted before midnight.
SCHEDULE = Schedule("measure usage", "10 0 * * *", MeasureUsagePayload())


class UsageMeasurement:
    """Measures the usage of a cell."""

    def __init__(self, cell: int) -> None:
        self._cell = cell

    async def handle(self, job: RunningJob, _payload: MeasureUsagePayload) -> JobProgress:
        """Measures what is missing, up to yesterday. What a job has done stays if it ends early."""
        done = 0
        async with aclosing(measure_usage(job.database, self._cell)) as batches:
            async for made in batches:
                done += made
                await job.report_progress(done)
        return JobProgress(done=done)
