"""The jobs that look after stored bytes: compaction, scrub, inventory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import structlog
from dits.common.v1.job_pb2 import (
    CheckInventoryPayload,
    CompactPacksPayload,
    JobProgress,
    JobType,
    RepairPackPayload,
    ScrubChunksPayload,
)

from services.chunk.collection.compaction import Compaction
from services.chunk.collection.inventory import Inventory
from services.chunk.collection.runs import Kind, Outcome, Run, record_run
from services.chunk.collection.scrub import Scrub, Scrubbed
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.absences import Absences
from services.chunk.stores.blob_store import BlobStore, find_writable
from services.chunk.stores.meant_stores import require_named
from shared.db.pool import Database
from shared.jobs.pacing import pace
from shared.jobs.running_job import Handler, RunningJob
from shared.jobs.schedule import Schedule
from shared.runtime.config import Settings

log = structlog.get_logger(__name__)

SCHEDULES = (
    Schedule("compact packs", "37 1 * * *", CompactPacksPayload()),
    Schedule("scrub chunks", "7 2 * * *", ScrubChunksPayload()),
    Schedule("check inventory", "7 4 * * 0", CheckInventoryPayload()),
)


class StorageMaintenance:
    """Looks after what the stores hold for a database."""

    def __init__(
        self, settings: Settings, stores: Mapping[str, BlobStore], writer: PackWriter
    ) -> None:
        """`stores`: by the names of their buckets. Each one's chunks stay in it."""
        reader_grace = timedelta(seconds=settings.reader_grace_seconds)
        self._limit_percent = settings.collection_limit_percent
        self._period = timedelta(days=settings.scrub_days)
        self._scrub = Scrub(stores, writer)
        self._compactions = {
            bucket: Compaction(
                store,
                writer.for_store(find_writable(stores, bucket)),
                dead_percent=settings.compaction_dead_percent,
                pack_bytes=settings.pack_bytes,
                open_pack=timedelta(seconds=settings.open_pack_seconds),
            )
            for bucket, store in stores.items()
        }
        self._inventories = {
            bucket: Inventory(store, settings.cell, reader_grace)
            for bucket, store in stores.items()
        }

    def jobs(self) -> dict[JobType.ValueType, Handler]:
        """Returns the handlers."""
        return {
            JobType.JOB_TYPE_COMPACT_PACKS: self.compact_packs,
            JobType.JOB_TYPE_SCRUB_CHUNKS: self.scrub_chunks,
            JobType.JOB_TYPE_CHECK_INVENTORY: self.check_inventory,
            JobType.JOB_TYPE_REPAIR_PACK: self.repair_pack,
        }

    async def compact_packs(self, job: RunningJob, _payload: CompactPacksPayload) -> JobProgress:
        """Compacts the packs that are mostly dead space, and those with bytes that are to be erased."""
        return await record_run(job, Kind.COMPACT_PACKS, partial(self._compact, job.database))

    async def scrub_chunks(self, job: RunningJob, payload: ScrubChunksPayload) -> JobProgress:
        """Verifies the packs whose turn it is, or all."""
        period = timedelta(0) if payload.everything else self._period
        work = partial(self._verify, job.database, period)
        return await record_run(job, Kind.SCRUB_CHUNKS, work)

    async def check_inventory(self, job: RunningJob, payload: CheckInventoryPayload) -> JobProgress:
        """Queues unknown objects, and verifies packs whose objects are not there.

        In a store where implausibly many are unknown, and nobody has confirmed them, it queues none.
        """
        work = partial(self._check, job.database, payload.confirmed_object_count)
        return await record_run(job, Kind.CHECK_INVENTORY, work)

    async def repair_pack(self, job: RunningJob, payload: RepairPackPayload) -> JobProgress:
        """Verifies a pack in which a reader has found damage, and heals it."""
        found = await self._scrub.verify_pack(job.database, payload.pack_key)
        note = f"{found.healed:,} of {found.chunks:,} chunks healed, {found.lost:,} newly lost"
        return JobProgress(done=found.healed, note=note)

    async def _compact(self, database: Database, run: Run) -> Outcome:
        report, absences = run.report, Absences()
        for bucket, compaction in self._compactions.items():
            with absences.tolerate(bucket):
                await self._compact_store(compaction, database, run)
        report.summary = (
            f"Moved {report.moved_chunk_count:,} chunks ({report.moved_bytes:,} bytes) out of "
            f"{report.compacted_pack_count:,} packs."
        )
        await self._end(database, absences)
        return Outcome.COMPLETED

    async def _end(self, database: Database, absences: Absences) -> None:
        """Raises if stores were left out, so that this is done again, where they are there."""
        absences.raise_first()
        await require_named(database, self._compactions)

    async def _compact_store(self, compaction: Compaction, database: Database, run: Run) -> None:
        report = run.report
        async with pace(compaction.compact_packs(database)) as new_packs:
            async for packs, moved in new_packs:
                report.compacted_pack_count += packs
                report.moved_chunk_count += moved.chunks
                report.moved_bytes += moved.bytes
                report.freed_pack_count += moved.freed_packs
                await run.store_progress(report.moved_chunk_count)

    async def _verify(self, database: Database, period: timedelta, run: Run) -> Outcome:
        async with pace(self._scrub.verify_due_packs(database, period)) as packs:
            async for found in packs:
                await self._note(run, found)
        report = run.report
        report.summary = (
            f"Verified {report.verified_chunk_count:,} chunks ({report.verified_bytes:,} bytes): "
            f"{report.healed_chunk_count:,} healed, {report.lost_chunk_count:,} newly lost."
        )
        return Outcome.COMPLETED

    async def _check(self, database: Database, confirmed: int, run: Run) -> Outcome:
        report, absences, refused = run.report, Absences(), list[str]()
        for bucket, inventory in self._inventories.items():
            with absences.tolerate(bucket):
                refusal = await self._queue_unknown(bucket, inventory, confirmed, database, run)
                if refusal:
                    refused.append(refusal)
                else:
                    await self._verify_incomplete(inventory, database, run)
        report.summary = " ".join(refused) or (
            f"Listed {report.listed_object_count:,} objects: {report.unknown_object_count:,} unknown, "
            f"{report.missing_object_count:,} missing or cut short, with "
            f"{report.lost_chunk_count:,} newly lost chunks."
        )
        await self._end(database, absences)
        return Outcome.REFUSED if refused else Outcome.COMPLETED

    async def _queue_unknown(
        self, bucket: str, inventory: Inventory, confirmed: int, database: Database, run: Run
    ) -> str:
        """Queues unknown objects, or returns why it may not: many = the wrong database?"""
        report = run.report
        listed = unknown = 0
        async with pace(inventory.count_unknown_objects(database)) as batches:
            async for objects in batches:
                listed += objects.listed
                unknown += objects.unknown
                await run.store_progress(report.listed_object_count + listed)
        report.listed_object_count += listed
        if unknown > max(listed * self._limit_percent / 100, confirmed):
            report.unknown_object_count += unknown
            log.error(
                "implausible inventory refused", bucket=bucket, unknown=unknown, listed=listed
            )
            return (
                f"Refused: no pack names {unknown:,} of {listed:,} objects in {bucket}, more than "
                f"{self._limit_percent:g} percent. Is this the database of the store? If it is, and nobody "
                f"needs them, `dits gc inventory --confirm {unknown}` has them deleted."
            )
        async with pace(inventory.queue_unknown_objects(database)) as counts:
            async for count in counts:
                report.unknown_object_count += count
                await run.store_progress(report.listed_object_count)
        return ""

    async def _verify_incomplete(self, inventory: Inventory, database: Database, run: Run) -> None:
        """Verifies the packs whose objects are missing or too short."""
        report = run.report
        async with pace(inventory.find_incomplete_packs(database)) as pages:
            async for keys in pages:
                report.missing_object_count += len(keys)
                for key in keys:
                    await self._note(run, await self._scrub.verify_pack(database, key))
                await run.store_progress(report.listed_object_count)

    async def _note(self, run: Run, found: Scrubbed) -> None:
        report = run.report
        report.verified_chunk_count += found.chunks
        report.verified_bytes += found.bytes
        report.healed_chunk_count += found.healed
        report.lost_chunk_count += found.lost
        await run.store_progress(report.verified_chunk_count)
