"""`dits-server worker`: works on queues, serves nothing, and gives back what it has not done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.suite import build_workers
from shared.db.listen import Listener
from shared.jobs.catalog import QUEUES
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from shared.server import Runtime
from tests.integration.schema.rows import connected, until

PUT = "SELECT enqueue_job($1, $2, '{}')"
# By these names it is known that no caller waits for them.
SESSIONS = """SELECT array_agg(DISTINCT application_name) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name LIKE 'dits-%'"""


@contextmanager
def worker_process(dsn: str, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as the operator starts it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DITS_")}
    environment |= {"DITS_DATABASE_URL": dsn, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "services.cli", "worker", *arguments]
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_a_worker_works_on_its_queue_alone_and_ends_when_told(
    dsn: str, tmp_path: Path
) -> None:
    async with connected(dsn) as connection:
        await connection.execute(PUT, "auth", "purge_login_throttles")
        await connection.execute(PUT, "shared", "purge_events")
        with worker_process(dsn, tmp_path, "--queue", "auth") as process:
            await until(connection, "SELECT status = 'completed' FROM jobs WHERE queue = 'auth'")
            assert await connection.fetchval(SESSIONS) == ["dits-auth worker"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert (
            await connection.fetchval("SELECT status FROM jobs WHERE queue = 'shared'") == "pending"
        )


def test_a_worker_without_a_database_says_what_to_do(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DITS_")}
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "worker"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "set DITS_DATABASE_URL" in line
    assert "`dits-server up` runs a worker of its own" in line


@pytest.mark.parametrize("queue", QUEUES)
async def test_a_queue_is_worked_on_by_its_services(
    dsn: str, settings: Settings, queue: str
) -> None:
    key = ServerKey.load(settings.server_key, settings.data_dir)
    workers = await build_workers(Runtime(settings, dsn, key, Listener(dsn)), [queue])
    assert {worker.name for worker in workers} == set(QUEUES[queue].services)
    for worker in workers:
        await worker.start()
        assert worker.port == 0
        await worker.stop()
