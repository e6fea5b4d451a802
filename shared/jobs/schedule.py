"""Jobs that are put on their queues at certain times: once for the database, however many processes run.

The row of a schedule says when it is next due. Whoever locks it then enqueues the job and moves the time
on, in one transaction. After a time without any process, one job makes up for all that was missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from cronsim import CronSim
from google.protobuf.message import Message

from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.jobs.catalog import JOBS
from shared.jobs.queue import enqueue, find_type
from shared.runtime.background import BackgroundTask

Q = sql.load(__file__)

# How long a scheduler may sleep: the clock of the database counts, and it may be set.
LONGEST_SLEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job is to be put on its queue.

    Attributes:
        name: identifies the schedule in its database.
        cron: minute, hour, day of the month, month, day of the week, in UTC.
        payload: of the job.
    """

    name: str
    cron: str
    payload: Message

    @property
    def queue(self) -> str:
        """The queue of its jobs."""
        return JOBS[find_type(self.payload)].queue

    def next_time(self, now: datetime) -> datetime:
        """Returns the first time after `now`."""
        return next(CronSim(self.cron, now.astimezone(UTC)))

    def is_too_late(self, row: Row) -> bool:
        """Whether it would be passed over twice: it fired while the clock of the database was ahead.

        Once is left alone, lest a clock that is set back a little fires it again.
        """
        if row["cron"] != self.cron:
            return False
        following: datetime = self.next_time(self.next_time(row["now"]))
        return bool(row["due_at"] > following)


class Scheduler:
    """Fires the schedules of a database."""

    def __init__(self, database: Database, schedules: Sequence[Schedule]) -> None:
        self._database = database
        self._schedules = {schedule.name: schedule for schedule in schedules}
        self._is_arranged = False

    def task(self) -> BackgroundTask:
        """Returns what a worker runs in the background."""
        return BackgroundTask("fire schedules of jobs", self._fire_and_wait, 0)

    async def fire_due_schedules(self) -> float:
        """Fires what is due. Returns in how many seconds the next one is."""
        rows = await self._database.fetch(Q.schedules, list(self._schedules))
        if not self._is_arranged:
            await self._arrange(rows)
            self._is_arranged = True
            return 0.0
        for row in rows:
            schedule = self._schedules[row["name"]]
            if row["seconds_left"] <= 0:
                await self._database.transaction(partial(_fire, schedule=schedule))
            elif schedule.is_too_late(row):
                moved = schedule.name, schedule.cron, schedule.next_time(row["now"])
                await self._database.statement(Q.bring_forward, *moved)
                return 0.0
        return min((row["seconds_left"] for row in rows), default=LONGEST_SLEEP_SECONDS)

    async def _fire_and_wait(self) -> None:
        seconds = await self.fire_due_schedules()
        await asyncio.sleep(min(max(seconds, 0.0), LONGEST_SLEEP_SECONDS))

    async def _arrange(self, rows: Sequence[Row]) -> None:
        """Sets the next time of schedules that are new, or have other times than before."""
        changed = [
            self._schedules[row["name"]]
            for row in rows
            if row["cron"] != self._schedules[row["name"]].cron
        ]
        if changed:
            now = rows[0]["now"]
            await self._database.statement(
                Q.arrange_schedules,
                [schedule.name for schedule in changed],
                [schedule.cron for schedule in changed],
                [schedule.next_time(now) for schedule in changed],
            )


async def _fire(connection: Connection, schedule: Schedule) -> None:
    """Enqueues the job of a schedule and moves its time on, unless another process does or has done it."""
    now = await connection.fetchval(Q.lock_due_schedule, schedule.name)
    if now is not None:
        await enqueue(connection, schedule.payload, dedup_key=f"schedule {schedule.name}")
        await connection.execute(Q.move_schedule, schedule.name, schedule.next_time(now))
