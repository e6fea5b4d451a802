"""What happens to a job at the moment when a worker claims or ends it: both orders."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from shared.db.pool import Database
from tests.support.jobs import dead_letters, expire_lease, put
from tests.support.waiting import until_blocked

CLAIM = "SELECT * FROM claim_jobs('{auth}', '{1}', '{purge_login_throttles}', $1, 'w')"
END = "SELECT * FROM end_jobs($1, $2, $3, $4, $5, $6)"
CANCEL = "SELECT * FROM cancel_job($1)"
EXPIRE = "SELECT * FROM end_expired_leases(10)"
PUT = "SELECT enqueue_job('auth', 'purge_login_throttles', '{}', p_dedup_key => 'k') AS id"
LEASES = [timedelta(seconds=30)]


class Race:
    """Two statements, of which the second comes while the first is not committed."""

    def __init__(self, dsn: str, database: Database) -> None:
        self._dsn = dsn
        self._database = database

    async def run(
        self, first: tuple[Any, ...], second: tuple[Any, ...], *, waits: bool = True
    ) -> tuple[list[Any], list[Any]]:
        """Returns the rows of both; `waits` says whether the second waits for the first."""
        connection, observer = await asyncpg.connect(self._dsn), await asyncpg.connect(self._dsn)
        async with connection.transaction():
            rows = await connection.fetch(*first)
            later = asyncio.create_task(self._database.fetch(*second))
            if waits:
                await until_blocked(observer)
            else:
                await later
        others = await later
        await connection.close()
        await observer.close()
        return list(rows), list(others)


@pytest.fixture
def race(dsn: str, database: Database) -> Race:
    return Race(dsn, database)


async def claim(database: Database) -> Any:
    [row] = await database.fetch(CLAIM, LEASES)
    return row


def end(job: Any, outcome: str) -> tuple[Any, ...]:
    """The statement that ends an attempt."""
    return END, [job["id"]], [job["lease_token"]], [outcome], ["no"], [None], [timedelta(0)]


async def the_job(database: Database) -> Any:
    [row] = await database.fetch("SELECT * FROM jobs")
    return row


async def test_a_job_is_claimed_once(database: Database, race: Race) -> None:
    await put(database)
    first, second = await race.run((CLAIM, LEASES), (CLAIM, LEASES), waits=False)
    assert (len(first), len(second)) == (1, 0)
    assert (await the_job(database))["attempts"] == 1


async def test_a_job_that_is_claimed_first_is_told_to_end(database: Database, race: Race) -> None:
    job_id = await put(database)
    _, [cancelled] = await race.run((CLAIM, LEASES), (CANCEL, job_id))
    assert (cancelled["status"], cancelled["cancel_requested_at"] is not None) == ("running", True)


async def test_a_job_that_is_cancelled_first_is_not_claimed(database: Database, race: Race) -> None:
    job_id = await put(database)
    _, claimed = await race.run((CANCEL, job_id), (CLAIM, LEASES), waits=False)
    assert claimed == []
    assert (await the_job(database))["status"] == "cancelled"


@pytest.mark.parametrize(("outcome", "left"), [("retry", "cancelled"), ("completed", "completed")])
async def test_a_job_that_is_cancelled_before_it_ends_begins_no_more(
    database: Database, race: Race, outcome: str, left: str
) -> None:
    await put(database)
    job = await claim(database)
    await race.run((CANCEL, job["id"]), end(job, outcome))
    assert (await the_job(database))["status"] == left


async def test_a_job_that_ended_first_is_not_cancelled(database: Database, race: Race) -> None:
    await put(database)
    job = await claim(database)
    _, cancelled = await race.run(end(job, "completed"), (CANCEL, job["id"]))
    assert cancelled == []
    assert (await the_job(database))["status"] == "completed"


async def test_an_end_before_the_lease_is_taken_away_counts(database: Database, race: Race) -> None:
    await put(database)
    job = await claim(database)
    await expire_lease(database, job["id"])
    _, taken = await race.run(end(job, "failed"), (EXPIRE,), waits=False)
    assert taken == []
    assert (await the_job(database))["status"] == "failed"
    assert len(await dead_letters(database)) == 1


async def test_an_end_after_the_lease_is_taken_away_does_not(
    database: Database, race: Race
) -> None:
    await put(database)
    job = await claim(database)
    await database.fetch("UPDATE jobs SET max_attempts = 1")
    await expire_lease(database, job["id"])
    _, ended = await race.run((EXPIRE,), end(job, "completed"))
    assert ended == []
    assert (await the_job(database))["status"] == "failed"
    assert len(await dead_letters(database)) == 1


async def test_work_that_comes_while_a_job_is_claimed_is_a_job_of_its_own(
    database: Database, race: Race
) -> None:
    """The one that begins may have seen the state before."""
    await database.fetch(PUT)
    [claimed], [added] = await race.run((CLAIM, LEASES), (PUT,))
    assert added["id"] != claimed["id"]


async def test_work_that_comes_first_is_folded_into_the_job_that_waits(
    database: Database, race: Race
) -> None:
    """And the job begins no sooner than that transaction ends."""
    [first] = await database.fetch(PUT)
    [folded], claimed = await race.run((PUT,), (CLAIM, LEASES), waits=False)
    assert folded["id"] == first["id"]
    assert claimed == []
    assert (await claim(database))["id"] == first["id"]
