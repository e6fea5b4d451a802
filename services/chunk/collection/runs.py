"""Runs of the maintenance: one of each kind at a time, and a record of each."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

import structlog
from dits.chunk.v1.maintenance_run_pb2 import MaintenanceReport
from dits.common.v1.job_pb2 import JobProgress
from google.protobuf import json_format
from google.protobuf.message import Message

from shared.db import sql
from shared.db.pool import Connection, Database
from shared.jobs.queue import encode_payload, enqueue
from shared.jobs.running_job import JobCancelled, RunningJob
from shared.runtime import metrics

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

# A run of which nothing was heard for so long gives way to the next one.
SILENCE = timedelta(minutes=2)
RECORDS_KEPT = timedelta(days=90)
# What a run has done is stored at most so often.
STORE_SECONDS = 1.0


class Kind(StrEnum):
    """What a run is for; equal to MaintenanceKind, without its prefix."""

    COLLECT_GARBAGE = "collect_garbage"
    COMPACT_PACKS = "compact_packs"
    SCRUB_CHUNKS = "scrub_chunks"
    CHECK_INVENTORY = "check_inventory"
    APPLY_LIFECYCLE = "apply_lifecycle"
    REPLICATE_CHUNKS = "replicate_chunks"
    CHECK_PLACEMENT = "check_placement"


class Outcome(StrEnum):
    """How a run ended; equal to MaintenanceOutcome, without its prefix."""

    RUNNING = "running"
    COMPLETED = "completed"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Run:
    """A run under way.

    Attributes:
        report: what it has done so far.
    """

    def __init__(self, job: RunningJob, kind: Kind, run_id: UUID) -> None:
        self._kind = kind
        self.report = MaintenanceReport()
        self._job = job
        self._id = run_id
        self._stored_at = float("-inf")

    async def store_progress(self, done: int, total: int = 0) -> None:
        """Stores how far it has come. Raises JobCancelled if it is to end, or another run has its place."""
        await self._job.report_progress(done, total)
        now = time.monotonic()
        if now - self._stored_at < STORE_SECONDS:
            return
        self._stored_at = now
        text = _encode(self.report)
        if await self._job.database.fetchrow(Q.renew_run, self._id, text) is None:
            raise JobCancelled

    async def end(self, outcome: Outcome) -> None:
        """Stores how it ended, unless another run has taken its place."""
        self._count(outcome)
        await self._job.database.statement(Q.end_run, self._id, outcome, _encode(self.report))

    def _count(self, outcome: Outcome) -> None:
        metrics.MAINTENANCE_RUNS.labels(self._kind, outcome).inc()
        for what in ("deleted", "moved", "verified", "healed", "lost", "copied"):
            count = getattr(self.report, f"{what}_chunk_count")
            metrics.MAINTENANCE_CHUNKS.labels(what).inc(count)
        for what in ("deleted", "moved", "verified", "freed", "copied"):
            metrics.MAINTENANCE_BYTES.labels(what).inc(getattr(self.report, f"{what}_bytes"))


async def record_run(
    job: RunningJob, kind: Kind, work: Callable[[Run], Awaitable[Outcome]]
) -> JobProgress:
    """Runs `work` and records it. Does nothing if a run of this kind is under way.

    Runs are safe beside each other; one at a time is for the load.
    """

    async def begin(connection: Connection) -> UUID | None:
        await connection.execute(Q.forget_runs, RECORDS_KEPT)
        await connection.execute(Q.close_lost_runs, kind, job.id, SILENCE)
        run_id: UUID | None = await connection.fetchval(Q.begin_run, kind, job.id, job.requested_by)
        return run_id

    run_id = await job.database.transaction(begin)
    if run_id is None:
        return JobProgress(note="nothing: another run is under way")
    run = Run(job, kind, run_id)
    try:
        outcome = await work(run)
    except JobCancelled:
        await run.end(Outcome.CANCELLED)
        raise
    except Exception:
        await run.end(Outcome.FAILED)
        raise
    await run.end(outcome)
    log.info("maintenance run", kind=kind, outcome=outcome, summary=run.report.summary)
    return JobProgress(note=run.report.summary)


async def request_run(database: Database, kind: Kind, payload: Message, requested_by: UUID) -> UUID:
    """Returns the job of the run of this kind that is under way or waits, or that of a new one."""

    async def request(connection: Connection) -> UUID:
        running: UUID | None = await connection.fetchval(Q.running_job, kind, SILENCE)
        if running is not None:
            return running
        key = f"{kind} {encode_payload(payload)}"
        return await enqueue(connection, payload, requested_by=requested_by, dedup_key=key)

    return await database.transaction(request)


def _encode(report: MaintenanceReport) -> str:
    return json_format.MessageToJson(report, preserving_proto_field_name=True, indent=None)
