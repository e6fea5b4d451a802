"""A worker in a process of its own, for tests that kill or stop it; what it does is in the table `effects`.

Arguments: the DSN, and what happens to it: `nothing`; `claimed`, `working`, `ending`, `ended` (it kills
itself there, at its third job); `poison` (a job of priority 1 kills it); `renewing` (it ends its first job
only when that belongs to somebody else); `stale` (so does this one, and it renews no lease).
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from dits.common.v1.job_pb2 import JobProgress
from google.protobuf.message import Message

from shared.db.pool import Database
from shared.jobs import worker as worker_module
from shared.jobs.catalog import JOBS
from shared.jobs.endings import Endings
from shared.jobs.running_job import RunningJob
from shared.jobs.schedule import Schedule
from shared.jobs.worker import JobWorker
from tests.support.jobs import PAYLOAD, TYPE

LEASE = timedelta(seconds=1)
SCHEDULE = Schedule("hourly", "0 * * * *", PAYLOAD)
EFFECT = "INSERT INTO effects (job_id, attempt, process) VALUES ($1, $2, $3)"
READY = "INSERT INTO workers (process) VALUES ($1)"
IS_MINE = "SELECT true FROM jobs WHERE id = $1 AND lease_token = $2"
DEADLY_JOB = 3


def die() -> None:
    """Ends this process as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed:
    """A handler, and what happens to the process around it."""

    def __init__(self, fate: str) -> None:
        self.fate = fate
        self._count = 0

    async def handle(self, job: RunningJob, _payload: Message) -> JobProgress:
        """Notes that it was here."""
        await job.database.fetch(EFFECT, job.id, job.attempt, os.getpid())
        if self.fate == "working":
            self.count()
        if self.fate == "poison":
            [row] = await job.database.fetch("SELECT priority FROM jobs WHERE id = $1", job.id)
            if row["priority"] == 1:
                die()
        while self.fate in ("renewing", "stale"):
            if not await job.database.fetch(IS_MINE, job.id, job.lease_token):
                break
            await asyncio.sleep(0.02)
        return JobProgress(done=os.getpid())

    def count(self) -> None:
        """Dies at the third call."""
        self._count += 1
        if self._count == DEADLY_JOB:
            die()

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Dies before the third call of a function."""

        def wrapped(*arguments: Any) -> Any:
            self.count()
            return function(*arguments)

        return wrapped

    def follow(self, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Dies after the third call of a coroutine function."""

        async def followed(*arguments: Any) -> Any:
            result = await function(*arguments)
            self.count()
            return result

        return followed


async def _renew_nothing(_worker: JobWorker) -> None:
    """Leaves all leases as they are."""


def prepare(doomed: Doomed) -> None:
    """Builds the end of the process into the worker."""
    JOBS[TYPE] = dataclasses.replace(JOBS[TYPE], lease=LEASE)
    worker_module.POLL_SECONDS = 0.02
    worker_module.EXPIRY_SECONDS = 0.1
    change: Any = setattr
    if doomed.fate == "claimed":
        change(JobWorker, "_begin", doomed.wrap(JobWorker._begin))
    if doomed.fate == "ending":
        change(Endings, "_write", doomed.wrap(Endings._write))
    if doomed.fate == "ended":
        change(Endings, "_write", doomed.follow(Endings._write))
    if doomed.fate == "stale":
        change(JobWorker, "renew_leases", _renew_nothing)


async def work(dsn: str, fate: str) -> None:
    """Works until SIGTERM, or until the fate comes."""
    doomed = Doomed(fate)
    prepare(doomed)
    database = await Database.connect(dsn, service="test", size=6)
    worker = JobWorker(database, {TYPE: doomed.handle}, ["auth"], [SCHEDULE], slots=2)
    worker.start()
    await database.fetch(READY, os.getpid())
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await worker.stop(5)
    await database.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2]))
