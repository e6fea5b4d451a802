"""What the metrics tell of jobs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.db.pool import Database
from shared.jobs.catalog import NAMES
from shared.jobs.queue_sizes import QueueSizes
from shared.jobs.running_job import PermanentFailure, RetryLater
from shared.runtime.metrics import REGISTRY
from tests.support.jobs import TYPE, Script, put, wait_for, working

pytestmark = pytest.mark.usefixtures("quick_worker")


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_attempts_are_counted_by_how_they_ended(database: Database) -> None:
    kind = NAMES[TYPE]
    outcomes = ("retry", "completed", "failed")
    before = [value("dits_jobs_ended_total", type=kind, outcome=outcome) for outcome in outcomes]
    timed = value("dits_job_seconds_count", type=kind)
    waited = value("dits_job_wait_seconds_count", queue="auth")
    script = Script([RetryLater("again", timedelta(0)), None, PermanentFailure("never")])
    async with working(database, script.handle, slots=1):
        first = await put(database)
        await wait_for(database, first, "completed")
        await wait_for(database, await put(database), "failed")
    after = [value("dits_jobs_ended_total", type=kind, outcome=outcome) for outcome in outcomes]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]
    assert value("dits_job_seconds_count", type=kind) - timed == 3
    assert value("dits_job_wait_seconds_count", queue="auth") - waited == 3
    assert value("dits_jobs_running", queue="auth") == 0


async def test_queues_are_measured(database: Database) -> None:
    sizes = QueueSizes(database, ["auth", "lock"])
    async with working(database, Script([PermanentFailure("never")]).handle):
        await wait_for(database, await put(database), "failed")
    await put(database)
    await put(database)
    await sizes.measure_queues()
    assert value("dits_jobs_due", queue="auth") == 2
    assert value("dits_dead_jobs", queue="auth") == 1
    assert value("dits_jobs_due", queue="lock") == 0
