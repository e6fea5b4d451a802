"""The worker of `dits-server up`: a process of its own, started again when it dies, which ends with it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from benchmarks.server import find_workers, running
from services.worker_process import NICE

PUT = "SELECT enqueue_job('auth', 'purge_login_throttles', '{}')"
DONE = "SELECT bool_and(status = 'completed') FROM jobs WHERE job_type = 'purge_login_throttles'"


async def work(address: str) -> None:
    """Puts a job on a queue, and waits until it is done."""
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(PUT)
        # What has a low priority gets no processor while somebody asks without a pause.
        while not await connection.fetchval(DONE):  # noqa: ASYNC110  another process does it
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


@pytest.mark.timeout(120)
def test_the_worker_of_a_server(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        address = server.dsn
        asyncio.run(work(address))
        [first] = find_workers(server.pid)
        assert os.getpriority(os.PRIO_PROCESS, first) == NICE
        os.kill(first, signal.SIGKILL)
        asyncio.run(work(address))
        [second] = find_workers(server.pid)
        assert second != first
    # What happens to it when the server is killed: test_usage_kill.py.
    assert not Path(f"/proc/{second}").exists()
