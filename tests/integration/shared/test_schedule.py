"""Schedules fire once for the database, whoever runs, and once for all that was missed."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from dits.common.v1.job_pb2 import PurgeEventsPayload

from services.auth.background import ended_credentials, login_throttles
from services.repo.background import statistics_recount, usage_measurement
from shared.db.pool import Database
from shared.jobs.retention import SHARED_SCHEDULES
from shared.jobs.schedule import Schedule, Scheduler

HOURLY = Schedule("hourly", "0 * * * *", PurgeEventsPayload())
ALL = [
    *SHARED_SCHEDULES,
    ended_credentials.SCHEDULE,
    login_throttles.SCHEDULE,
    statistics_recount.SCHEDULE,
    usage_measurement.SCHEDULE,
]


def test_names_are_taken_once() -> None:
    assert Counter(schedule.name for schedule in ALL).most_common(1)[0][1] == 1


@pytest.mark.parametrize("schedule", ALL, ids=lambda schedule: schedule.name)
def test_times_lie_ahead(schedule: Schedule) -> None:
    now = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert now < schedule.next_time(now) <= now + timedelta(days=7, hours=4)


async def jobs(database: Database) -> int:
    [row] = await database.fetch("SELECT count(*) FROM jobs")
    count: int = row["count"]
    return count


async def arranged(database: Database, schedule: Schedule = HOURLY) -> Scheduler:
    """A scheduler that has stored the times of its schedules."""
    scheduler = Scheduler(database, [schedule])
    assert await scheduler.fire_due_schedules() == 0
    return scheduler


async def test_a_new_schedule_waits_for_its_time(database: Database) -> None:
    scheduler = await arranged(database)
    assert 0 < await scheduler.fire_due_schedules() <= 3600
    assert await jobs(database) == 0


async def test_many_schedulers_fire_once_for_all_that_was_missed(database: Database) -> None:
    schedulers = [await arranged(database) for _ in range(5)]
    await database.fetch("UPDATE job_schedules SET due_at = now() - interval '3 days'")
    for _ in range(2):
        await asyncio.gather(*(scheduler.fire_due_schedules() for scheduler in schedulers))
    assert await jobs(database) == 1
    [row] = await database.fetch("SELECT due_at > now() AS is_ahead, fired_at FROM job_schedules")
    assert row["is_ahead"]
    assert row["fired_at"] is not None


async def test_a_job_that_still_waits_is_not_joined_by_another(database: Database) -> None:
    scheduler = await arranged(database)
    for _ in range(3):
        await database.fetch("UPDATE job_schedules SET due_at = now() - interval '1 s'")
        await scheduler.fire_due_schedules()
    assert await jobs(database) == 1


async def test_other_times_take_effect_and_the_same_do_not_put_it_off(database: Database) -> None:
    await arranged(database)
    await database.fetch("UPDATE job_schedules SET due_at = now() - interval '1 hour'")
    again = await arranged(database)
    await again.fire_due_schedules()
    assert await jobs(database) == 1
    yearly = Schedule("hourly", "0 0 1 1 *", PurgeEventsPayload())
    changed = await arranged(database, yearly)
    assert await changed.fire_due_schedules() > 3600


async def test_a_schedule_that_a_clock_ahead_has_put_off_comes_in_its_time(
    database: Database,
) -> None:
    yearly = Schedule("yearly", "0 0 1 1 *", PurgeEventsPayload())
    scheduler = await arranged(database, yearly)

    async def settle(change: str) -> tuple[datetime, datetime]:
        """When it is due after a change, and when after the scheduler has looked at that."""
        [before] = await database.fetch(f"UPDATE job_schedules SET {change} RETURNING due_at")
        for _ in range(2):
            await scheduler.fire_due_schedules()
        [after] = await database.fetch("SELECT due_at FROM job_schedules")
        return before["due_at"], after["due_at"]

    _, due = await settle("cron = cron")
    # It fired while the clock of the database was years ahead.
    assert (await settle("due_at = due_at + interval '30 years'"))[1] == due
    # One that was a little ahead fires nothing twice.
    for change in (
        "due_at = due_at + interval '1 year'",
        # What a process of another release has arranged stays as it is.
        "cron = '0 0 2 1 *', due_at = due_at + interval '30 years'",
    ):
        before, after = await settle(change)
        assert before == after > due
    assert await jobs(database) == 0
