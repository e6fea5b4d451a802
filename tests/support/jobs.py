"""Jobs for tests: a worker with handlers of the test's own, and what the database says of its jobs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from dits.common.v1.job_pb2 import (
    JobProgress,
    JobType,
    PurgeEventsPayload,
    PurgeLoginThrottlesPayload,
)
from google.protobuf.message import Message

from shared.db.listen import Listener
from shared.db.pool import Connection, Database
from shared.jobs.catalog import JOBS
from shared.jobs.queue import CHANNEL, enqueue, find_type
from shared.jobs.running_job import Handler, RunningJob
from shared.jobs.worker import JobWorker
from tests.support.waiting import PATIENCE_SECONDS

_OWN_QUEUE = "test"
# Any types do: the handlers are the test's. They wait in the queues `auth` and `shared`.
TYPE = JobType.JOB_TYPE_PURGE_LOGIN_THROTTLES
PAYLOAD = PurgeLoginThrottlesPayload()
OTHER_PAYLOAD = PurgeEventsPayload()


@dataclass(slots=True)
class Script:
    """A handler that counts its attempts, and does at each what the test wants.

    Attributes:
        attempts: how often each job was begun.
        steps: what the attempts do, in order: raise, wait, return. The last one counts on.
    """

    steps: Sequence[Any] = (None,)
    attempts: Counter[UUID] = field(default_factory=Counter)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, job: RunningJob, _payload: Message) -> JobProgress | None:
        """Does the step of this attempt."""
        self.attempts[job.id] += 1
        self.begun.set()
        step = self.steps[min(sum(self.attempts.values()), len(self.steps)) - 1]
        if isinstance(step, Exception):
            raise step
        if isinstance(step, JobProgress) or step is None:
            return step
        result: JobProgress | None = await step(job)
        return result


async def put(database: Database, payload: Message = PAYLOAD, **options: Any) -> UUID:
    """Enqueues a job in a transaction of its own, and tells services at once, as one of them would."""
    job_id = await database.transaction(partial(_enqueue, payload=payload, options=options))
    await database.fetch("SELECT pg_notify($1, $2)", CHANNEL, JOBS[find_type(payload)].queue)
    return job_id


async def _enqueue_apart(connection: Connection, payload: Message) -> UUID:
    job_id = await enqueue(connection, payload)
    await connection.execute("UPDATE jobs SET queue = $2 WHERE id = $1", job_id, _OWN_QUEUE)
    return job_id


async def _enqueue(connection: Connection, payload: Message, options: dict[str, Any]) -> UUID:
    return await enqueue(connection, payload, **options)


@asynccontextmanager
async def working(
    database: Database,
    handler: Handler,
    *,
    slots: int | None = None,
    listener: Listener | None = None,
    drain_seconds: float = 5.0,
) -> AsyncIterator[JobWorker]:
    """A worker whose handler of every job is this one."""
    handlers = {TYPE: handler, JobType.JOB_TYPE_PURGE_EVENTS: handler}
    worker = JobWorker(database, handlers, ("auth",), slots=slots)
    if listener is not None:
        worker.receive_hints(listener)
    worker.start()
    try:
        yield worker
    finally:
        await worker.stop(drain_seconds)


async def wait_for(database: Database, job_id: UUID, *statuses: str) -> Any:
    """Returns the row of a job as soon as it has one of the statuses."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            row = await database.fetchrow("SELECT * FROM jobs WHERE id = $1", job_id)
            assert row is not None
            if row["status"] in statuses:
                return row
            await asyncio.sleep(0.01)


async def do_job(database: Database, payload: Message, handler: Handler) -> Any:
    """Has a worker do a job with this handler, and returns its row once it is completed.

    The job waits in a queue of its own, of which the workers of services know nothing.
    """
    worker = JobWorker(database, {find_type(payload): handler}, [_OWN_QUEUE], slots=1)
    job_id = await database.transaction(partial(_enqueue_apart, payload=payload))
    worker.start()
    try:
        return await wait_for(database, job_id, "completed")
    finally:
        await worker.stop(5)


async def dead_letters(database: Database) -> list[Any]:
    """The rows of the dead letters."""
    return await database.fetch("SELECT * FROM dead_letter_jobs ORDER BY failed_at")


async def make_due(database: Database, job_id: UUID) -> timedelta:
    """Makes a job that waits due, and returns how long it would have waited."""
    [row] = await database.fetch(
        """UPDATE jobs j SET scheduled_at = now() FROM jobs o
           WHERE j.id = $1 AND o.id = j.id AND j.status = 'pending'
           RETURNING o.scheduled_at - now() AS delay""",
        job_id,
    )
    delay: timedelta = row["delay"]
    return delay


async def expire_lease(database: Database, job_id: UUID) -> None:
    """Makes the lease of a job end now."""
    await database.fetch(
        "UPDATE jobs SET locked_until = now() - interval '1 ms' WHERE id = $1", job_id
    )
