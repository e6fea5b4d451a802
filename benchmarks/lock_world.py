"""What the benchmark of locks works with: a database that syncs, services, a user, repositories."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
from dits.lock.v1 import lock_service_pb2 as pb

from migrations.runner import migrate
from shared.formats import credentials
from shared.postgres.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceAsyncStub as LockStub
else:
    LockStub = object

REPOSITORIES = 16


@contextmanager
def running() -> Iterator[tuple[str, str]]:
    """The auth and lock services and their database; yields its URL and the address of the lock service."""
    with (
        running_database() as (dsn, folder),
        run_service("auth", dsn, folder) as (auth, _),
        run_service("lock", dsn, folder, auth=auth, repo=auth) as (lock, _),
    ):
        yield dsn, lock


@contextmanager
def running_database() -> Iterator[tuple[str, Path]]:
    """A database of its own; yields its URL and a folder that lasts as long."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as place:
        folder = Path(place)
        postgres = EmbeddedPostgres(folder / "pg", settings={"shared_buffers": "1GB"})
        dsn = postgres.start()
        try:
            asyncio.run(migrate(dsn))
            yield dsn, folder
        finally:
            postgres.stop()


@dataclass(frozen=True, slots=True)
class World:
    """What is measured against."""

    dsn: str
    stub: LockStub
    token: str
    user_id: UUID
    repositories: list[UUID]

    @property
    def auth(self) -> tuple[tuple[str, str], ...]:
        """Metadata of every call."""
        return (("authorization", f"Bearer {self.token}"),)

    async def acquire(self, repo: UUID, paths: list[str]) -> list[str]:
        """Ids of new locks."""
        request = pb.AcquireLocksRequest(repository=str(repo), paths=paths)
        response = await self.stub.AcquireLocks(request, metadata=self.auth)
        return [result.lock.id for result in response.results]

    async def release(self, repo: UUID, ids: list[str]) -> None:
        """Ends locks."""
        request = pb.ReleaseLocksRequest(repository=str(repo), lock_ids=ids)
        await self.stub.ReleaseLocks(request, metadata=self.auth)


@contextmanager
def run_service(name: str, dsn: str, folder: Path, **addresses: str) -> Iterator[tuple[str, int]]:
    """A service in a process of its own; its address, and the id of the process."""
    environment = {
        **os.environ,
        "DITS_DATABASE_URL": dsn,
        "DITS_DATA_DIR": str(folder),
        "DITS_SERVER_KEY": "00" * 32,
        f"DITS_{name.upper()}_PORT": "0",
        "DITS_POOL_SIZE": "20",
        "DITS_LOG_FORMAT": "json",
        **{f"DITS_{key.upper()}_ADDRESS": value for key, value in addresses.items()},
    }
    log = folder / f"{name}.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "services.cli", "serve", name], stderr=errors, env=environment
        ) as process,
    ):
        try:
            yield f"127.0.0.1:{_port(log, process)}", process.pid
        finally:
            process.terminate()


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    while process.poll() is None:
        found = re.search(r'"port": (\d+)', log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.02)
    raise RuntimeError(log.read_text())


async def populate(dsn: str) -> tuple[str, UUID, list[UUID]]:
    """A user with a session, and repositories."""
    token = credentials.mint(credentials.Kind.SESSION)
    connection = await asyncpg.connect(dsn)
    user_id = await connection.fetchval(
        """WITH u AS (INSERT INTO users (username, email, name, status)
                      VALUES ('bench', 'bench@example.com', 'bench', 'active') RETURNING id),
                s AS (INSERT INTO sessions (user_id, token_hash, expires_at)
                      SELECT id, $1, now() + interval '1 day' FROM u)
           SELECT id FROM u""",
        credentials.token_hash(token),
    )
    rows = await connection.fetch(
        """INSERT INTO repositories (owner_type, owner_id, name, storage_bucket, storage_region)
           SELECT 'user', $1, 'repo' || n, 'bench', 'local' FROM generate_series(1, $2) n
           RETURNING id""",
        user_id,
        REPOSITORIES,
    )
    await connection.close()
    return token, user_id, [row["id"] for row in rows]
