"""Work of the chunk service in processes that are killed at one of their steps.

    python -m tests.support.failpoints

reads orders from its input, one line of JSON each: it forks a process that does the work, and writes how
that has ended, the status of os.waitpid. A step is what outlives the process: a COMMIT, a statement outside
of transactions, a change to a file in a store; on an S3 server each PUT, each part of one, each DELETE.
With `every` it is each statement, too. The process kills itself before the step whose number was ordered;
so every state that a kill can leave behind comes about.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import obstore
import structlog
from asyncpg.pool import PoolConnectionProxy

from services.admin.stores import move_store
from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.background.open_pack_sweep import OpenPackSweep
from services.chunk.catalog.access_times import AccessTimes
from services.chunk.catalog.presence import Presence
from services.chunk.packs.content import Chunk
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.server import make_background
from services.chunk.stores.tiers import open_places
from services.repo.repositories.purging import purge_repository
from shared.db.pool import Connection, Database, Databases
from shared.jobs.attempt import attempt_job
from shared.jobs.catalog import NAMES, queues_of
from shared.jobs.endings import Endings
from shared.jobs.running_job import RunningJob
from shared.runtime.config import Settings

_FILE_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.link"}
# Of obstore; the client of a store calls them, too.
_REQUESTS = ("put_async", "delete_async")
_METHODS = ("execute", "fetch", "fetchrow", "fetchval")
_CLAIM = "SELECT * FROM claim_jobs($1, $2, $3, $4, 'failpoints')"


class Failpoint:
    """The step before which this process ends."""

    def __init__(self, step: int, root: str, *, every: bool) -> None:
        """`root`: the folder whose files count."""
        self._left = step
        self._root = root
        self._every = every

    def arm(self) -> None:
        """Counts from now on."""
        # Attributes of classes: the pool makes the connections.
        change: Any = setattr
        for name in _METHODS:
            change(PoolConnectionProxy, name, self._wrap(getattr(PoolConnectionProxy, name)))
        original = asyncpg.Connection.execute

        async def end(connection: Any, query: str, *arguments: Any, **more: Any) -> Any:
            if query == "COMMIT;":
                self.count()
            return await original(connection, query, *arguments, **more)

        change(asyncpg.Connection, "execute", end)
        for name in _REQUESTS:
            change(obstore, name, self._precede(getattr(obstore, name)))
        sys.addaudithook(self._look_at)

    def count(self) -> None:
        """Ends the process as kill -9 does, if this is the step."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _wrap(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapped(connection: Any, *arguments: Any, **more: Any) -> Any:
            if self._every or not connection.is_in_transaction():
                self.count()
            return await method(connection, *arguments, **more)

        return wrapped

    def _precede(self, request: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def preceded(store: Any, key: Any, *content: Any, **more: Any) -> Any:
            self.count()
            parts = [each if isinstance(each, bytes) else _Parts(each, self) for each in content]
            return await request(store, key, *parts, **more)

        return preceded

    def _look_at(self, event: str, arguments: tuple[Any, ...]) -> None:
        is_change = event in _FILE_CHANGES
        if event == "open":
            is_change = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if is_change and self._root in repr(arguments):
            self.count()


class _Parts:
    """A file that is put part by part; each is a step."""

    def __init__(self, file: Any, failpoint: Failpoint) -> None:
        self._file = file
        self._failpoint = failpoint

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        """Returns the next part."""
        self._failpoint.count()
        data: bytes = self._file.read(size)
        return data


class Work:
    """What the process does, by name; `arguments` are of the work's own."""

    def __init__(self, database: Database, settings: Settings, arguments: dict[str, Any]) -> None:
        self._database = database
        self._databases = Databases(database)
        self._settings = settings
        self._arguments = arguments

    async def prepare(self) -> None:
        """Opens the stores."""
        settings, databases = self._settings, self._databases
        self._places = await open_places(self._database, settings)
        self._writer = PackWriter(
            databases,
            self._places[settings.region],
            Presence(databases, timedelta(seconds=settings.claim_lease_seconds)),
            cell=settings.cell,
            reader_grace=timedelta(seconds=settings.reader_grace_seconds),
        )

    async def upload(self) -> None:
        """Stores chunks for a repository."""
        repository_id = UUID(self._arguments["repository"])
        pack = self._writer.begin_pack(repository_id)
        for digest, data in self._arguments["chunks"]:
            content = bytes.fromhex(data)
            chunk = Chunk(bytes.fromhex(digest), len(content), "none", content)
            await self._writer.append_chunks(pack, [chunk])
        await self._writer.finalize_pack(pack, repository_id)

    async def reference(self) -> None:
        """Refers to chunks as a push does."""

        async def refer(connection: Connection) -> None:
            query = "SELECT reference_chunks($1::uuid, $2, $3, NULL)"
            hashes = [digest for digest, _ in self._arguments["chunks"]]
            repository = self._arguments["repository"]
            await connection.fetch(query, repository, hashes, [1] * len(hashes))

        await self._database.transaction(refer)

    async def purge(self) -> None:
        """Purges a deleted repository."""
        repository_id = UUID(self._arguments["repository"])
        async for _ in purge_repository(self._database, repository_id, timedelta(0)):
            pass

    async def reap(self) -> None:
        """Gives up open packs, and deletes the objects that are due."""
        await OpenPackSweep(self._databases, timedelta(0)).sweep_packs()
        await ObjectReaper(self._databases, self._places, 0).reap_objects()

    async def move(self) -> None:
        """Copies the packs of the region that still lie in its second store."""
        await move_store(self._database, self._settings)

    async def job(self) -> None:
        """Does the job that is due, whichever it is."""
        background = make_background(
            self._settings, self._databases, self._places, AccessTimes(), self._writer
        )
        types = [NAMES[each] for each in background.jobs]
        leases = [timedelta(minutes=1)] * len(types)
        queues = list(queues_of("chunk"))
        limits = [1] * len(queues)
        for row in await self._database.fetch(_CLAIM, queues, limits, types, leases):
            job = RunningJob(row, self._database)
            endings = Endings(self._database, lambda _jobs: None)
            endings.add(await attempt_job(job, background.jobs[job.type]))
            await endings.write_endings()


async def do_work(order: dict[str, Any]) -> None:
    """Does what was ordered, and is killed on the way."""
    settings = Settings(**order["settings"])
    database = await Database.connect(order["dsn"], service="test", size=4)
    work = Work(database, settings, order["arguments"])
    await work.prepare()
    if order["step"]:
        Failpoint(order["step"], order["root"], every=order["every"]).arm()
    await getattr(work, order["work"])()


def serve() -> None:
    """Does orders until the input ends."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            status = 1
            try:
                asyncio.run(do_work(json.loads(line)))
                status = 0
            except BaseException:  # noqa: BLE001  the process ends here
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, ended = os.waitpid(process, 0)
        sys.stdout.write(f"{ended}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
