"""Our jobs, and two other queues on PostgreSQL, as the benchmark of jobs uses them.

The others are installed for it alone: `pip install procrastinate pgqueuer 'psycopg[binary]'`.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import asyncpg
from dits.common.v1.job_pb2 import JobType, PurgeLoginThrottlesPayload

from migrations.runner import migrate
from shared.db.listen import Listener
from shared.db.pool import Connection, Database
from shared.jobs.queue import JobRequest, enqueue, enqueue_all
from shared.jobs.worker import JobWorker

BATCH = 1000
_PAYLOAD = PurgeLoginThrottlesPayload()


class JobQueue(ABC):
    """A queue with one kind of job, which does nothing.

    Attributes:
        slots: how many jobs the worker has at once.
    """

    slots = 50

    def __init__(self) -> None:
        self._begun = 0
        self._wanted = 0
        self._begun_at = 0.0
        self._all_begun = asyncio.Event()

    @abstractmethod
    async def set_up(self, dsn: str) -> None:
        """Makes its tables and connects."""

    @abstractmethod
    async def put(self, count: int) -> None:
        """Puts so many jobs on the queue, in one transaction for up to BATCH of them."""

    @abstractmethod
    async def drain(self) -> None:
        """Works until there are no jobs left, their ends written."""

    @abstractmethod
    @asynccontextmanager
    def working(self) -> AsyncIterator[None]:
        """Has a worker in the background."""

    @abstractmethod
    async def close(self) -> None:
        """Ends its connections."""

    def expect(self, count: int) -> None:
        """Waits for so many jobs from now on."""
        self._begun, self._wanted = 0, count
        self._all_begun.clear()

    async def wait_until_begun(self) -> float:
        """Returns when the last of the expected jobs has begun, by `time.perf_counter()`."""
        await self._all_begun.wait()
        return self._begun_at

    def note(self) -> None:
        """What a job does."""
        self._begun += 1
        if self._begun == self._wanted:
            self._begun_at = time.perf_counter()
            self._all_begun.set()


class DitsQueue(JobQueue):
    """Ours."""

    async def set_up(self, dsn: str) -> None:
        """See JobQueue."""
        await migrate(dsn)
        self._dsn = dsn
        self._database = await Database.connect(dsn, service="benchmark", size=10)

    async def put(self, count: int) -> None:
        """See JobQueue."""
        if count == 1:
            await self._database.transaction(_put_one)
            return
        for _ in range(count // BATCH):
            await self._database.transaction(_put_batch)

    async def drain(self) -> None:
        """See JobQueue."""
        worker = self._make_worker()
        worker.start()
        await self.wait_until_begun()
        await worker.stop(60)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """See JobQueue."""
        listener = Listener(self._dsn)
        worker = self._make_worker()
        worker.receive_hints(listener)
        listener.start()
        worker.start()
        hints = asyncio.create_task(self._send_hints())
        yield
        hints.cancel()
        await worker.stop(60)
        await listener.stop()

    async def close(self) -> None:
        """See JobQueue."""
        await self._database.close()

    def _make_worker(self) -> JobWorker:
        job_type = JobType.JOB_TYPE_PURGE_LOGIN_THROTTLES
        return JobWorker(self._database, {job_type: self._work}, ["auth"], slots=self.slots)

    async def _work(self, _job: object, _payload: object) -> None:
        self.note()

    async def _send_hints(self) -> None:
        while True:
            await self._database.hints.send_hints()


async def _put_one(connection: Connection) -> None:
    await enqueue(connection, _PAYLOAD)


async def _put_batch(connection: Connection) -> None:
    await enqueue_all(connection, [JobRequest(_PAYLOAD)] * BATCH)


class ProcrastinateQueue(JobQueue):
    """Procrastinate, over psycopg."""

    async def set_up(self, dsn: str) -> None:
        """See JobQueue."""
        procrastinate: Any = importlib.import_module("procrastinate")
        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))
        await self._app.open_async()
        await self._app.schema_manager.apply_schema_async()
        self._task = self._app.task(name="nothing")(self._work)

    async def put(self, count: int) -> None:
        """See JobQueue."""
        if count == 1:
            await self._task.defer_async()
            return
        for _ in range(count // BATCH):
            await self._task.batch_defer_async(*([{}] * BATCH))

    async def drain(self) -> None:
        """See JobQueue."""
        await self._run(wait=False)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """See JobQueue."""
        worker = asyncio.create_task(self._run(wait=True))
        yield
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker

    async def close(self) -> None:
        """See JobQueue."""
        await self._app.close_async()

    async def _work(self) -> None:
        self.note()

    async def _run(self, *, wait: bool) -> None:
        await self._app.run_worker_async(
            concurrency=self.slots, wait=wait, install_signal_handlers=False
        )


class PgQueuerQueue(JobQueue):
    """PgQueuer, over asyncpg."""

    async def set_up(self, dsn: str) -> None:
        """See JobQueue."""
        self._dsn = dsn
        self._pgqueuer: Any = importlib.import_module("pgqueuer")
        self._types: Any = importlib.import_module("pgqueuer.types")
        self._connection = await asyncpg.connect(dsn)
        driver = importlib.import_module("pgqueuer.db").AsyncpgDriver(self._connection)
        self._queries: Any = importlib.import_module("pgqueuer.queries").Queries(driver)
        await self._queries.install()

    async def put(self, count: int) -> None:
        """See JobQueue."""
        size = min(count, BATCH)
        for _ in range(count // size):
            await self._queries.enqueue(["nothing"] * size, [None] * size, [0] * size)

    async def drain(self) -> None:
        """See JobQueue."""
        await self._run(self._types.QueueExecutionMode.drain)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """See JobQueue."""
        worker = asyncio.create_task(self._run(self._types.QueueExecutionMode.continuous))
        yield
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker

    async def close(self) -> None:
        """See JobQueue."""
        await self._connection.close()

    async def _work(self, _job: object) -> None:
        self.note()

    async def _run(self, mode: Any) -> None:
        pool = await asyncpg.create_pool(self._dsn, min_size=2, max_size=10)
        driver = importlib.import_module("pgqueuer.db").AsyncpgPoolDriver(pool)
        runner = self._pgqueuer.PgQueuer(driver)
        runner.entrypoint("nothing")(self._work)
        try:
            await runner.run(
                dequeue_timeout=timedelta(seconds=1),
                batch_size=self.slots,
                mode=mode,
                max_concurrent_tasks=2 * self.slots,
            )
        finally:
            pool.terminate()


QUEUES: dict[str, Callable[[], JobQueue]] = {
    "dits": DitsQueue,
    "procrastinate": ProcrastinateQueue,
    "pgqueuer": PgQueuerQueue,
}
