"""Writes how attempts at jobs have ended, many with one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from shared.db import sql
from shared.db.pool import Database
from shared.jobs.catalog import NAMES
from shared.jobs.running_job import RunningJob
from shared.runtime import metrics

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

MAX_ERROR_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt has ended.

    Attributes:
        outcome: one of those of the function end_jobs.
        error: why, for people; empty = it did not fail.
        result: JSON of a JobProgress; None = what was reported last.
        delay: before the next attempt.
    """

    job: RunningJob
    outcome: str
    error: str = ""
    result: str | None = None
    delay: timedelta = timedelta(0)


class Endings:
    """The endings that are to be written."""

    def __init__(self, database: Database, forget: Callable[[Sequence[RunningJob]], None]) -> None:
        """`forget` is called with the jobs whose endings have been written."""
        self._database = database
        self._forget = forget
        self._waiting: list[Ending] = []
        self._has_some = asyncio.Event()

    def add(self, ending: Ending) -> None:
        """Has an ending written soon."""
        self._waiting.append(ending)
        self._has_some.set()

    async def write_endings(self) -> None:
        """Waits until there are endings and writes all of them. After an error they are still there."""
        await self._has_some.wait()
        endings = list(self._waiting)
        await self._write(endings)
        del self._waiting[: len(endings)]
        if not self._waiting:
            self._has_some.clear()
        self._forget([ending.job for ending in endings])

    async def _write(self, endings: list[Ending]) -> None:
        rows = await self._database.statement(
            *Q.bind.end_jobs(
                ids=[ending.job.id for ending in endings],
                tokens=[ending.job.lease_token for ending in endings],
                outcomes=[ending.outcome for ending in endings],
                errors=[ending.error[:MAX_ERROR_CHARACTERS] or None for ending in endings],
                results=[ending.result for ending in endings],
                delays=[ending.delay for ending in endings],
            )
        )
        written = {row["job_id"]: row["job_status"] for row in rows}
        for ending in endings:
            status = written.get(ending.job.id)
            outcome = "lost" if status is None else ending.outcome
            metrics.JOBS_ENDED.labels(NAMES[ending.job.type], outcome).inc()
            if status is None:
                log.warning("a job ended after its lease", job=str(ending.job.id))
            elif status == "failed":
                log.error("a job is a dead letter", job=str(ending.job.id), cause=ending.error)
