"""The jobs that bring chunks into the regions in which repositories want them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from dits.chunk.v1.maintenance_run_pb2 import MaintenanceReport
from dits.common.v1.job_pb2 import (
    CheckPlacementPayload,
    JobProgress,
    JobType,
    ReplicateChunksPayload,
)

from services.chunk.catalog.copy_requests import request_copies
from services.chunk.collection.runs import Kind, Outcome, Run, record_run
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.placement.replication import Replication, has_due_copies
from services.chunk.placement.wanted_places import (
    Trimmed,
    drop_unwanted_copies,
    queue_missing_copies,
    trim_copies,
)
from services.chunk.stores.absences import Absences
from services.chunk.stores.blob_store import BlobStore
from shared.db.pool import Database
from shared.jobs.pacing import pace
from shared.jobs.running_job import Handler, RunningJob
from shared.jobs.schedule import Schedule
from shared.runtime.config import Settings

log = structlog.get_logger(__name__)

# What uploads asked for and nobody has done: their server died, or a store was away.
SCHEDULES = (
    Schedule("replicate chunks", "*/5 * * * *", ReplicateChunksPayload()),
    Schedule("check placement", "47 3 * * *", CheckPlacementPayload()),
)


class ChunkReplication:
    """Makes the copies that are due."""

    def __init__(
        self, settings: Settings, stores: Mapping[str, BlobStore], writer: PackWriter
    ) -> None:
        """`stores`: by the names of their buckets, the nearest first."""
        self._stores = stores
        # Copies are not moved to colder places.
        self._targets = {name: each for name, each in stores.items() if name == each.region}
        self._writer = writer
        self._pack_bytes = settings.pack_bytes
        self._reader_grace = timedelta(seconds=settings.reader_grace_seconds)

    def jobs(self) -> dict[JobType.ValueType, Handler]:
        """Returns the handlers."""
        return {
            JobType.JOB_TYPE_REPLICATE_CHUNKS: self.replicate_chunks,
            JobType.JOB_TYPE_CHECK_PLACEMENT: self.check_placement,
        }

    async def replicate_chunks(
        self, job: RunningJob, _payload: ReplicateChunksPayload
    ) -> JobProgress:
        """Copies until nothing is due that can be copied.

        It looks again after the record of the run has ended: a job that came meanwhile has left its work
        to this one.
        """
        progress = JobProgress(note="nothing is due")
        regions = list(self._targets)
        has_settled = [True]
        while has_settled[0] and await has_due_copies(job.database, regions):
            has_settled[0] = False
            work = partial(self._copy, job.database, has_settled=has_settled)
            progress = await record_run(job, Kind.REPLICATE_CHUNKS, work)
        return progress

    async def check_placement(self, job: RunningJob, payload: CheckPlacementPayload) -> JobProgress:
        """Queues missing copies, and drops those that nobody wants."""
        if not payload.repository_id:
            work = partial(self._check_all, job.database)
            return await record_run(job, Kind.CHECK_PLACEMENT, work)
        # This one waits for nobody: its owner does.
        report, repository_id = MaintenanceReport(), UUID(payload.repository_id)
        await self._check(job.database, repository_id, report, job.report_progress)
        return JobProgress(note=report.summary)

    async def _check_all(self, database: Database, run: Run) -> Outcome:
        await self._check(database, None, run.report, run.store_progress)
        return Outcome.COMPLETED

    async def _check(
        self,
        database: Database,
        repository_id: UUID | None,
        report: MaintenanceReport,
        tell: Callable[[int], Awaitable[None]],
    ) -> None:
        async with pace(queue_missing_copies(database, repository_id)) as counts:
            async for count in counts:
                report.queued_copy_count += count
                await tell(report.queued_copy_count)
        await request_copies(database, 0)
        grace = self._reader_grace
        trimming = drop_unwanted_copies(database, self._stores, repository_id, grace)
        async with pace(trimming) as pages:
            async for page in pages:
                _note_trimmed(report, page)
                await tell(report.queued_copy_count)
        report.summary = (
            f"Queued {report.queued_copy_count:,} copies, dropped {report.dropped_copy_count:,} that no "
            f"repository wants, and moved the homes of {report.moved_chunk_count:,} chunks."
        )

    async def _copy(self, database: Database, run: Run, *, has_settled: list[bool]) -> Outcome:
        report, absences = run.report, Absences()
        for bucket, store in self._targets.items():
            writer = self._writer.for_store(store)
            copying = Replication(database, self._stores, store, writer, self._pack_bytes)
            with absences.tolerate(bucket):
                async with pace(copying.copy_due_chunks()) as packs:
                    async for placed in packs:
                        report.copied_chunk_count += placed.chunks
                        report.copied_bytes += placed.bytes
                        has_settled[0] = has_settled[0] or placed.settled > 0
                        proven = dict.fromkeys(placed.hashes, (store.region,))
                        trimmed = await trim_copies(database, proven, self._reader_grace)
                        _note_trimmed(report, trimmed)
                        await run.store_progress(report.copied_chunk_count)
            report.waiting_copy_count += await copying.count_waiting()
        report.summary = (
            f"Copied {report.copied_chunk_count:,} chunks ({report.copied_bytes:,} bytes); "
            f"{report.waiting_copy_count:,} copies wait."
        )
        if absences.buckets:
            log.warning("copies wait for stores that are away", buckets=sorted(absences.buckets))
        return Outcome.COMPLETED


def _note_trimmed(report: MaintenanceReport, trimmed: Trimmed) -> None:
    report.moved_chunk_count += trimmed.moved
    report.dropped_copy_count += trimmed.dropped
    report.freed_pack_count += trimmed.freed_packs
    report.freed_bytes += trimmed.freed_bytes
