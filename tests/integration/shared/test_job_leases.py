"""Only the lease that a job was claimed under renews or ends it; who loses one gives the job up."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from dits.common.v1.job_pb2 import JobProgress

from shared.db.pool import Database
from shared.jobs import worker as worker_module
from shared.jobs.attempt import attempt_job
from shared.jobs.endings import Endings
from shared.jobs.running_job import PermanentFailure, RetryLater, RunningJob
from shared.jobs.worker import JobWorker
from tests.support.jobs import (
    TYPE,
    Script,
    dead_letters,
    expire_lease,
    put,
    wait_for,
    working,
)
from tests.support.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.usefixtures("quick_worker")


async def test_a_lease_that_is_lost_changes_nothing(database: Database) -> None:
    """The sleeper's job is done by another worker; what the sleeper then writes is for nothing."""
    job_id = await put(database)
    sleeper = await _claim(database)
    await expire_lease(database, job_id)
    async with working(database, Script([JobProgress(done=2)]).handle):
        await wait_for(database, job_id, "completed")
    before = await database.fetchrow("SELECT * FROM jobs")
    await sleeper.report_progress(1)
    endings = Endings(database, lambda _: None)
    endings.add(await attempt_job(sleeper, Script([PermanentFailure("no")]).handle))
    await endings.write_endings()
    renewed = await database.fetch(
        "SELECT * FROM renew_jobs($1, $2, $3)",
        [sleeper.id],
        [sleeper.lease_token],
        [timedelta(hours=1)],
    )
    assert renewed == []
    assert await database.fetchrow("SELECT * FROM jobs") == before
    assert await dead_letters(database) == []


async def _claim(database: Database) -> RunningJob:
    """Claims a job as a worker that then stands still."""
    [row] = await database.fetch(
        "SELECT * FROM claim_jobs('{auth}', '{1}', '{purge_login_throttles}', $1, 'sleeper')",
        [timedelta(seconds=30)],
    )
    return RunningJob(row, database)


async def test_poison_is_buried_once_however_many_find_it(database: Database) -> None:
    job_id = await put(database)
    await database.fetch("UPDATE jobs SET max_attempts = 2")
    for _ in range(2):
        await _claim(database)
        await expire_lease(database, job_id)
        buriers = [database.fetch("SELECT * FROM end_expired_leases(100)") for _ in range(5)]
        assert sum(map(len, await asyncio.gather(*buriers))) == 1
    [dead] = await dead_letters(database)
    assert (dead["original_job_id"], dead["retry_count"]) == (job_id, 2)
    assert (await wait_for(database, job_id, "failed"))["attempts"] == 2


async def test_the_attempt_ends_whose_lease_is_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "RENEWAL_SHARE", 0.001)
    ended = asyncio.Event()

    async def wait(job: RunningJob, _payload: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with working(database, wait, drain_seconds=0) as worker:
        job_id = await put(database)
        await wait_for(database, job_id, "running")
        until = "SELECT locked_until FROM jobs"
        [first] = await database.fetch(until)
        while (await database.fetch(until))[0] == first:
            await worker.renew_leases()
        await database.fetch("UPDATE jobs SET lease_token = gen_random_uuid()")
        await asyncio.wait_for(ended.wait(), PATIENCE_SECONDS)


async def test_a_worker_that_stops_gives_its_jobs_back(database: Database) -> None:
    begun = asyncio.Event()

    async def wait(job: RunningJob, _payload: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    job_id = await put(database)
    async with working(database, wait, drain_seconds=0.01):
        await begun.wait()
    row = await wait_for(database, job_id, "pending")
    assert (row["attempts"], row["locked_by"]) == (0, None)


async def test_a_worker_that_stops_lets_its_jobs_finish(database: Database) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def wait(job: RunningJob, _payload: object) -> None:
        begun.set()
        await go.wait()

    job_id = await put(database)
    worker = JobWorker(database, {TYPE: wait}, ["auth"])
    worker.start()
    await begun.wait()
    left = await put(database)
    stopping = asyncio.create_task(worker.stop(20))
    await asyncio.sleep(0)
    go.set()
    await stopping
    assert (await wait_for(database, job_id, "completed"))["attempts"] == 1
    assert (await wait_for(database, left, "pending", "completed"))["attempts"] <= 1


async def test_jobs_for_the_same_work_are_one_until_it_begins(database: Database) -> None:
    first = await put(database, dedup_key="k", delay=timedelta(hours=1))
    assert await put(database, dedup_key="k") == first
    running = await _claim(database)
    second = await put(database, dedup_key="k")
    assert second != first
    endings = Endings(database, lambda _: None)
    endings.add(await attempt_job(running, Script([RetryLater("no")]).handle))
    await endings.write_endings()
    assert (await wait_for(database, first, "pending"))["attempts"] == 1
