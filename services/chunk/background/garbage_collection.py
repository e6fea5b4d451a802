"""The job that collects garbage: chunks of large files that went, ended claims, dead chunks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from dits.chunk.v1.maintenance_run_pb2 import MaintenanceReport
from dits.common.v1.job_pb2 import (
    CollectGarbagePayload,
    EraseChunksPayload,
    JobProgress,
    JobType,
)

from services.chunk.collection.catalog_totals import count_totals
from services.chunk.collection.chunk_deletion import ChunkDeletion
from services.chunk.collection.claim_sweep import ClaimSweep
from services.chunk.collection.garbage_plan import DeadChunks, count_dead_chunks
from services.chunk.collection.released_lists import ReleasedLists
from services.chunk.collection.runs import Kind, Outcome, Run, record_run
from services.chunk.stores.blob_store import BlobStore
from shared.db.clock import read_clock
from shared.db.pool import Database
from shared.jobs.pacing import pace
from shared.jobs.running_job import Handler, RunningJob
from shared.jobs.schedule import Schedule
from shared.runtime.collection_settings import CollectionSettings

log = structlog.get_logger(__name__)

SCHEDULE = Schedule("collect garbage", "17 * * * *", CollectGarbagePayload())


class GarbageCollection:
    """Collects the garbage of a database."""

    def __init__(self, settings: CollectionSettings, stores: Mapping[str, BlobStore]) -> None:
        """`stores`: by the names of their buckets."""
        self._lease = timedelta(seconds=settings.claim_lease_seconds)
        self._limit_percent = settings.collection_limit_percent
        self._sweep = ClaimSweep(timedelta(seconds=settings.chunk_grace_seconds))
        self._lists = ReleasedLists(stores)
        self._deletion = ChunkDeletion(timedelta(seconds=settings.reader_grace_seconds))

    def jobs(self) -> dict[JobType.ValueType, Handler]:
        """Returns the handlers."""
        return {
            JobType.JOB_TYPE_COLLECT_GARBAGE: self.collect_garbage,
            JobType.JOB_TYPE_ERASE_CHUNKS: self.erase_chunks,
        }

    async def erase_chunks(self, job: RunningJob, payload: EraseChunksPayload) -> JobProgress:
        """Takes the chunks of obliterated files from a repository; returns how many."""
        done, repository_id = 0, UUID(payload.repository_id)
        async with pace(self._lists.erase_chunks(job.database, repository_id)) as counts:
            async for count in counts:
                done += count
                await job.report_progress(done)
        return JobProgress(done=done)

    async def collect_garbage(self, job: RunningJob, payload: CollectGarbagePayload) -> JobProgress:
        """Does a run; it deletes no chunks if there are implausibly many and nobody has confirmed them."""
        work = partial(self._collect, job.database, payload.confirmed_chunk_count)
        return await record_run(job, Kind.COLLECT_GARBAGE, work)

    async def _collect(self, database: Database, confirmed_count: int, run: Run) -> Outcome:
        await self._release_lists(database, run)
        await self._drop_claims(database, run)
        dead = await count_dead_chunks(database)
        run.report.total_chunk_count = dead.total_count
        run.report.dead_chunk_count = dead.count
        if not dead.is_plausible(self._limit_percent, confirmed_count):
            run.report.summary = (
                f"Refused: {dead.count:,} of {dead.total_count:,} chunks would be deleted, more than "
                f"{self._limit_percent:g} percent."
            )
            log.error("implausible collection refused", dead=dead.count, total=dead.total_count)
            run.report.catalog.CopyFrom(await count_totals(database))
            return Outcome.REFUSED
        await self._delete_chunks(database, dead, run)
        run.report.summary = _summarize(run.report)
        run.report.catalog.CopyFrom(await count_totals(database))
        return Outcome.COMPLETED

    async def _release_lists(self, database: Database, run: Run) -> None:
        async with pace(self._lists.release_chunks(database)) as counts:
            async for _ in counts:
                await run.store_progress(0)

    async def _drop_claims(self, database: Database, run: Run) -> None:
        ended = await read_clock(database) - self._lease
        async with pace(self._sweep.drop_claims(database, ended)) as batches:
            async for count in batches:
                run.report.dropped_claim_count += count
                await run.store_progress(run.report.dropped_claim_count)

    async def _delete_chunks(self, database: Database, dead: DeadChunks, run: Run) -> None:
        async with pace(self._deletion.delete_chunks(database, dead.time)) as batches:
            async for batch in batches:
                run.report.deleted_chunk_count += batch.chunks
                run.report.deleted_bytes += batch.bytes
                run.report.freed_pack_count += batch.freed.packs
                run.report.freed_bytes += batch.freed.bytes
                await run.store_progress(run.report.deleted_chunk_count, dead.count)


def _summarize(report: MaintenanceReport) -> str:
    return (
        f"Dropped {report.dropped_claim_count:,} claims, deleted {report.deleted_chunk_count:,} of "
        f"{report.total_chunk_count:,} chunks ({report.deleted_bytes:,} bytes), freed "
        f"{report.freed_pack_count:,} packs ({report.freed_bytes:,} bytes)."
    )
