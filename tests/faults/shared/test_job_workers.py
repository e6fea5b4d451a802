"""Workers that are killed or stand still: each job is done at least once, and ends once, counted by id."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.db.pool import Database
from tests.support.jobs import dead_letters, put, wait_for
from tests.support.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[3]
TABLES = (
    "CREATE TABLE effects (job_id UUID, attempt INT, process INT)",
    "CREATE TABLE workers (process INT)",
)


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    database = await Database.connect(dsn, service="test", size=4)
    for table in TABLES:
        await database.fetch(table)
    yield database
    await database.close()


@contextmanager
def worker(dsn: str, fate: str = "nothing") -> Iterator[subprocess.Popen[bytes]]:
    """A worker process, killed at the end if it still runs."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos/gen'}"}
    command = [sys.executable, "-m", "tests.support.job_process", dsn, fate]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def wait_until_dead(process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await asyncio.to_thread(process.wait) == -signal.SIGKILL


async def until(database: Database, question: str) -> None:
    """Returns when the answer of the database is yes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            [row] = await database.fetch(f"SELECT {question} AS is_true")
            if row["is_true"]:
                return
            await asyncio.sleep(0.02)


ALL_ENDED = "NOT EXISTS (SELECT FROM jobs WHERE status IN ('pending', 'running'))"


async def count_effects(database: Database) -> dict[UUID, int]:
    """How often each job was begun."""
    rows = await database.fetch("SELECT job_id, count(*) AS n FROM effects GROUP BY 1")
    return {row["job_id"]: row["n"] for row in rows}


async def fetch_jobs(database: Database) -> dict[UUID, Any]:
    return {row["id"]: row for row in await database.fetch("SELECT * FROM jobs")}


@pytest.mark.parametrize("fate", ["claimed", "working", "ending", "ended"])
async def test_jobs_of_a_worker_that_is_killed_are_done_by_another(
    database: Database, dsn: str, fate: str
) -> None:
    ids = {await put(database) for _ in range(12)}
    with worker(dsn, fate) as process:
        await wait_until_dead(process)
    with worker(dsn):
        await until(database, ALL_ENDED)
    jobs, effects = await fetch_jobs(database), await count_effects(database)
    assert set(jobs) == set(effects) == ids
    assert {job["status"] for job in jobs.values()} == {"completed"}
    assert await dead_letters(database) == []
    again = [job_id for job_id in ids if jobs[job_id]["attempts"] == 2]
    assert {job["attempts"] for job in jobs.values()} <= {1, 2}
    # Two slots: no more than two jobs were lost.
    assert len(again) <= 2
    assert bool(again) or fate == "ended"
    for job_id, times in effects.items():
        assert 1 <= times <= jobs[job_id]["attempts"]


@pytest.mark.parametrize("fate", ["renewing", "stale"])
async def test_a_worker_that_stood_still_beyond_its_lease_changes_nothing(
    database: Database, dsn: str, fate: str
) -> None:
    """When it goes on, it finds its lease lost and breaks off, or it ends the job, for nothing."""
    job_id = await put(database)
    with worker(dsn, fate) as sleeper:
        await until(database, "EXISTS (SELECT FROM effects)")
        sleeper.send_signal(signal.SIGSTOP)
        with worker(dsn) as other:
            row = await wait_for(database, job_id, "completed")
        assert (row["attempts"], row["result"]) == (2, f'{{"done": "{other.pid}"}}')
        sleeper.send_signal(signal.SIGCONT)
        # It ends by itself once its own attempt has ended.
        sleeper.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(sleeper.wait) == 0
    assert await fetch_jobs(database) == {job_id: row}
    assert await count_effects(database) == {job_id: 2}
    assert await dead_letters(database) == []


async def test_poison_kills_its_workers_and_is_buried_once(database: Database, dsn: str) -> None:
    good = {await put(database) for _ in range(6)}
    poison = await put(database, priority=1)
    await database.fetch("UPDATE jobs SET max_attempts = 3 WHERE id = $1", poison)
    for _ in range(3):
        with worker(dsn, "poison") as process:
            await wait_until_dead(process)
    with worker(dsn, "poison"), worker(dsn, "poison"):
        await until(database, ALL_ENDED)
    jobs = await fetch_jobs(database)
    assert (jobs[poison]["status"], jobs[poison]["attempts"]) == ("failed", 3)
    [dead] = await dead_letters(database)
    assert (dead["original_job_id"], dead["retry_count"]) == (poison, 3)
    assert {jobs[job_id]["status"] for job_id in good} == {"completed"}
    assert (await count_effects(database))[poison] == 3


async def test_two_workers_do_each_job_once_and_fire_a_schedule_once(
    database: Database, dsn: str
) -> None:
    await database.fetch(
        """INSERT INTO job_schedules (name, cron, due_at)
           VALUES ('hourly', '0 * * * *', now() - interval '2 days')"""
    )
    with worker(dsn), worker(dsn):
        await until(database, "(SELECT count(*) = 2 FROM workers)")
        ids = {await put(database) for _ in range(200)}
        await until(database, "EXISTS (SELECT FROM job_schedules WHERE due_at > now())")
        await until(database, ALL_ENDED)
    effects = await count_effects(database)
    assert len(effects) == 201
    assert set(effects) > ids
    assert set(effects.values()) == {1}
    [row] = await database.fetch("SELECT count(DISTINCT process) AS n FROM effects")
    assert row["n"] == 2
