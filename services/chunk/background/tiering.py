"""The jobs of the tiers: the policies of repositories, and restores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from uuid import UUID

from dits.common.v1.job_pb2 import (
    ApplyLifecyclePayload,
    JobProgress,
    JobType,
    RestoreChunksPayload,
)

from services.chunk.collection.lifecycle import Lifecycle, find_classes
from services.chunk.collection.restore_work import RestoreWork
from services.chunk.collection.runs import Kind, Outcome, Run, record_run
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.blob_store import BlobStore
from shared.db.pool import Database
from shared.jobs.pacing import pace
from shared.jobs.running_job import Handler, RunningJob
from shared.jobs.schedule import Schedule
from shared.runtime.config import Settings

SCHEDULE = Schedule("apply lifecycle", "47 2 * * *", ApplyLifecyclePayload())


class Tiering:
    """Moves chunks to colder places, and brings them back."""

    def __init__(
        self, settings: Settings, places: Mapping[str, BlobStore], writer: PackWriter
    ) -> None:
        """`places`: the stores of regions and of their tiers, by the names of their buckets."""
        self._classes = find_classes(places)
        pack_bytes = settings.pack_bytes
        self._lifecycle = Lifecycle(places, self._classes, writer, pack_bytes)
        keep = timedelta(days=settings.restored_days)
        self._restores = RestoreWork(places, writer, pack_bytes, keep)

    def jobs(self) -> dict[JobType.ValueType, Handler]:
        """Returns the handlers."""
        return {
            JobType.JOB_TYPE_APPLY_LIFECYCLE: self.apply_lifecycle,
            JobType.JOB_TYPE_RESTORE_CHUNKS: self.restore_chunks,
        }

    async def apply_lifecycle(
        self, job: RunningJob, _payload: ApplyLifecyclePayload
    ) -> JobProgress:
        """Moves what was not read for long to colder places."""
        return await record_run(job, Kind.APPLY_LIFECYCLE, partial(self._apply, job.database))

    async def restore_chunks(self, job: RunningJob, payload: RestoreChunksPayload) -> JobProgress:
        """Makes chunks readable."""
        count = await self._restores.restore(job.database, UUID(payload.restore_id))
        return JobProgress(done=count, total=count)

    async def _apply(self, database: Database, run: Run) -> Outcome:
        report, marked = run.report, 0
        if not self._classes:
            report.summary = "Nothing: not every region has a colder place."
            return Outcome.COMPLETED
        async with pace(self._lifecycle.apply_policies(database)) as steps:
            async for cooled in steps:
                marked += cooled.marked
                report.moved_chunk_count += cooled.moved.chunks
                report.moved_bytes += cooled.moved.bytes
                report.freed_pack_count += cooled.moved.freed_packs
                await run.store_progress(report.moved_chunk_count)
        report.summary = (
            f"{marked:,} references are wanted colder now; moved {report.moved_chunk_count:,} chunks "
            f"({report.moved_bytes:,} bytes)."
        )
        return Outcome.COMPLETED
