"""The worker of a service: claims the jobs of its queues, works on them, renews their leases, ends them.

A worker claims for all of its queues with one statement, as many as it has free slots, and writes with one
how attempts have ended. So it does thousands of small jobs a second. Without any, it asks once a second.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import structlog
from dits.common.v1.job_pb2 import JobType

from shared.db import sql
from shared.db.listen import Listener
from shared.db.pool import Database
from shared.jobs.attempt import attempt_job
from shared.jobs.catalog import JOBS, NAMES, QUEUES
from shared.jobs.endings import Endings
from shared.jobs.queue import CANCEL, CHANNEL
from shared.jobs.queue_sizes import QueueSizes
from shared.jobs.running_job import Handler, RunningJob
from shared.jobs.schedule import Schedule, Scheduler
from shared.runtime import metrics
from shared.runtime.background import BackgroundTask
from shared.runtime.waiting import end_tasks, wait_for_event

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
# How often a worker looks for jobs of others whose leases have expired.
EXPIRY_SECONDS = 5.0
EXPIRY_BATCH = 1000
# A lease is renewed when this share of it is over.
RENEWAL_SHARE = 1 / 3
# How long a handler that is cancelled by force may take to end.
FORCE_SECONDS = 2.0


class JobWorker:
    """Works on the queues of one database in this process."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[JobType.ValueType, Handler],
        queues: Iterable[str],
        schedules: Sequence[Schedule] = (),
        *,
        slots: int | None = None,
    ) -> None:
        """Fires those of the schedules that are about its queues.

        `slots`: how many jobs of each queue at once, instead of what the catalog says.
        """
        self._database = database
        self._handlers = handlers
        self._slots = {name: slots or QUEUES[name].slots for name in queues}
        own = [schedule for schedule in schedules if schedule.queue in self._slots]
        self._scheduler = Scheduler(database, own)
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        # By lease: after a lost one, this process may have the same job again.
        self._running: dict[UUID, RunningJob] = {}
        self._attempts: dict[UUID, asyncio.Task[None]] = {}
        self._endings = Endings(database, self._forget)
        self._claiming = asyncio.Lock()
        self._wake = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._is_stopping = False
        # Whether the last claim has left jobs behind, for want of slots.
        self._has_backlog = False
        self._expiry_due = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def receive_hints(self, listener: Listener) -> None:
        """Subscribes to new jobs and to wishes to cancel some."""
        self._database.hints.subscribe(CHANNEL, self._receive_hint)
        listener.subscribe(CHANNEL, self._receive_hint)
        listener.subscribe_gaps(self._wake.set)

    def start(self) -> None:
        """Begins to work."""
        shortest = min(JOBS[job_type].lease.total_seconds() for job_type in self._handlers)
        work = [
            BackgroundTask("claim jobs", self.claim_jobs, 0),
            BackgroundTask("write the ends of jobs", self._endings.write_endings, 0),
            BackgroundTask("renew leases of jobs", self.renew_leases, shortest * RENEWAL_SHARE / 2),
            self._scheduler.task(),
            QueueSizes(self._database, list(self._slots)).task(),
        ]
        self._tasks = [asyncio.create_task(task.run()) for task in work]

    async def stop(self, seconds: float) -> None:
        """Claims no more, lets jobs finish for `seconds`, and gives back those that have not."""
        self._is_stopping = True
        if not self._tasks:
            return
        claim, *others = self._tasks
        async with self._claiming:
            claim.cancel()
        if not await wait_for_event(self._is_idle, seconds):
            for attempt in self._attempts.values():
                attempt.cancel()
            await wait_for_event(self._is_idle, FORCE_SECONDS)
        await end_tasks([claim, *others])

    async def claim_jobs(self) -> None:
        """Claims as many jobs as there are free slots, and waits until there may be more."""
        self._wake.clear()
        async with self._claiming:
            if self._is_stopping:
                return
            await self._end_expired_leases()
            taken = Counter(job.queue for job in self._running.values())
            free = {
                name: slots - taken[name]
                for name, slots in self._slots.items()
                if slots > taken[name]
            }
            self._has_backlog = len(free) < len(self._slots)
            if free:
                await self._claim(free)
        await wait_for_event(self._wake, POLL_SECONDS)

    async def _claim(self, free: Mapping[str, int]) -> None:
        types = list(self._handlers)
        rows = await self._database.fetch(
            *Q.bind.claim_jobs(
                queues=list(free),
                limits=list(free.values()),
                types=[NAMES[job_type] for job_type in types],
                leases=[JOBS[job_type].lease for job_type in types],
                worker=self._name,
            )
        )
        for row in rows:
            waited = (row["started_at"] - row["scheduled_at"]).total_seconds()
            metrics.JOB_WAIT_SECONDS.labels(row["queue"]).observe(waited)
            self._begin(RunningJob(row, self._database))
        claimed = Counter(row["queue"] for row in rows)
        self._has_backlog |= any(claimed[name] == count for name, count in free.items())

    def _begin(self, job: RunningJob) -> None:
        metrics.JOBS_RUNNING.labels(job.queue).inc()
        self._running[job.lease_token] = job
        self._is_idle.clear()
        self._attempts[job.lease_token] = asyncio.create_task(self._work(job))

    async def _work(self, job: RunningJob) -> None:
        ending = await attempt_job(job, self._handlers[job.type])
        del self._attempts[job.lease_token]
        self._endings.add(ending)

    def _forget(self, jobs: Sequence[RunningJob]) -> None:
        """Frees the slots of jobs that have ended."""
        for job in jobs:
            del self._running[job.lease_token]
            metrics.JOBS_RUNNING.labels(job.queue).dec()
        if not self._running:
            self._is_idle.set()
        if self._has_backlog:
            self._wake.set()

    async def renew_leases(self) -> None:
        """Renews the leases that need it. An attempt whose lease is lost is broken off."""
        now = time.monotonic()
        due = [
            job
            for job in self._running.values()
            if now - job.renewed_at >= job.spec.lease.total_seconds() * RENEWAL_SHARE
        ]
        if not due:
            return
        rows = await self._database.statement(
            Q.renew_jobs,
            [job.id for job in due],
            [job.lease_token for job in due],
            [job.spec.lease for job in due],
        )
        renewed = {row["job_id"]: row["is_cancelled"] for row in rows}
        for job in due:
            job.renewed_at = now
            if renewed.get(job.id):
                job.request_cancel()
            attempt = self._attempts.get(job.lease_token)
            if job.id not in renewed and attempt is not None:
                log.warning("the lease of a job is lost", job=str(job.id))
                attempt.cancel()

    async def _end_expired_leases(self) -> None:
        if time.monotonic() < self._expiry_due:
            return
        for row in await self._database.statement(Q.end_expired_leases, EXPIRY_BATCH):
            log.warning("a job lost its worker", job=str(row["job_id"]), status=row["job_status"])
        self._expiry_due = time.monotonic() + EXPIRY_SECONDS

    def _receive_hint(self, payload: str) -> None:
        if payload in self._slots:
            self._wake.set()
        elif payload.startswith(CANCEL):
            for job in self._running.values():
                if str(job.id) == payload.removeprefix(CANCEL):
                    job.request_cancel()
