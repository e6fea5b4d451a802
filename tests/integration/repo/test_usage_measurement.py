"""What is measured every night: once for each day, missed ones too, whoever does it at the same time."""

from __future__ import annotations

import asyncio
import json
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from dits.common.v1.job_pb2 import MeasureUsagePayload
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest, RepositorySettings

from services.repo.usage import measurement
from services.repo.usage.measurement import MISSED_DAYS, measure_usage
from shared.db.pool import Database
from tests.support.api import Account, Api
from tests.support.jobs import put, wait_for
from tests.support.trees import save
from tests.support.usage import add_organization, add_usage

MEASURED = """
    SELECT entity_id, unique_contributors, logical_bytes, storage_bytes, apportioned_bytes
    FROM usage_metrics WHERE measured_at IS NOT NULL AND metric_date = $1 ORDER BY entity_type, entity_id
"""
AGE = """
    WITH r AS (UPDATE repositories SET created_at = created_at - $1::int * interval '1 day'),
         o AS (UPDATE organizations SET created_at = created_at - $1::int * interval '1 day')
    UPDATE events SET created_at = created_at - interval '1 day'
"""


async def measure(database: Database) -> int:
    """Runs the measurement; returns how many rows it has made."""
    return sum([made async for made in measure_usage(database, 0)])


async def make_repository(api: Api, who: Account, name: str, owner: str = "") -> UUID:
    """A repository with the file `a` of 1,000 bytes, the same in all of them."""
    request = CreateRepositoryRequest(
        name=name, owner=owner, settings=RepositorySettings(require_lock_for_edit=False)
    )
    response = await api.repositories.CreateRepository(request, metadata=who.auth)
    await save(api, who, response.repository, {"a": b"a" * 1000})
    return UUID(response.repository.id)


async def read_yesterday(api: Api) -> dict[UUID, tuple[int, ...]]:
    """What was measured for yesterday, by entity."""
    rows = await api.fetch(MEASURED, await find_today(api) - timedelta(days=1))
    return {row["entity_id"]: tuple(row)[1:] for row in rows}


async def find_today(api: Api) -> date:
    today: date = await api.value("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")
    return today


async def test_repositories_and_owners_are_measured_once(api: Api, database: Database) -> None:
    ada, eve = await api.account(), await api.account()
    org_id = await add_organization(api, ada)
    film = await make_repository(api, ada, "film", "studio")
    short = await make_repository(api, ada, "short", "studio")
    own = await make_repository(api, eve, "own")
    gone = await make_repository(api, eve, "gone")
    await api.fetch("UPDATE repositories SET deleted_at = now() WHERE id = $1", gone)
    assert await measure(database) == 0
    await api.fetch("UPDATE users SET last_active_at = now() WHERE id = $1", ada.id)
    await api.fetch(AGE, 1)
    day = await find_today(api) - timedelta(days=1)
    # Yesterday's calls are there already, of some.
    await add_usage(api, "organization", org_id, str(day), 5)
    assert await measure(database) == 3 + 2 + 1
    # Four repositories hold the chunk: two of the studio, two of eve, of which one is deleted.
    half, whole = (1, 1000, 1000, 500), (1, 1000, 1000, 1000)
    assert await read_yesterday(api) == {
        film: half,
        short: half,
        own: whole,
        org_id: (1, 2000, 2000, 1000),
        eve.id: whole,
    }
    assert await measure(database) == 0
    snapshots = await api.fetch(
        "SELECT org_id, snapshot_date, storage_bytes, bandwidth_bytes, active_users, repo_count"
        " FROM billing_snapshots"
    )
    assert list(map(tuple, snapshots)) == [(org_id, day, 2000, 25, 1, 2)]


async def test_missed_days_are_made_up_for(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "BATCH", 1)
    ada = await api.account()
    await add_organization(api, ada)
    for name in ("a", "b"):
        await make_repository(api, ada, name, "studio")
    await api.fetch(AGE, 3)
    assert await measure(database) == 3 * (2 + 1 + 1)
    await api.fetch(
        "DELETE FROM usage_metrics WHERE metric_date = $1",
        await find_today(api) - timedelta(days=2),
    )
    assert await measure(database) == 2 + 1
    await api.fetch(AGE, 100)
    assert await measure(database) == (MISSED_DAYS - 3) * (2 + 1 + 1)


async def test_two_at_once(api: Api, database: Database) -> None:
    ada = await api.account()
    await add_organization(api, ada)
    for n in range(30):
        await api.fetch(
            """INSERT INTO repositories (name, owner_type, owner_id, storage_bucket, storage_region)
               SELECT $1, 'organization', id, 'local', 'local' FROM organizations""",
            f"r{n}",
        )
    await api.fetch(AGE, 5)
    made = await asyncio.gather(measure(database), measure(database))
    assert sum(made) == 5 * (30 + 1 + 1)


async def test_contributors_are_users_who_pushed_that_day(api: Api, database: Database) -> None:
    ada, eve = await api.account(), await api.account()
    repository = await api.repository(ada)
    await api.grant(repository, eve, "write")
    head = await save(api, ada, repository, {"a": b"1"})
    head = await save(api, ada, repository, {"a": b"2"}, parent=head)
    await save(api, eve, repository, {"a": b"3"}, parent=head)
    await api.fetch(AGE, 2)
    await measure(database)
    counts: Any = await api.fetch(
        "SELECT unique_contributors FROM usage_metrics WHERE measured_at IS NOT NULL"
        " ORDER BY metric_date, entity_type"
    )
    assert [row[0] for row in counts] == [0, 0, 2, 2]


async def test_writers_are_forgotten(api: Api, database: Database) -> None:
    await api.fetch(
        """INSERT INTO usage_writers (writer_id, batch, written_at)
           SELECT gen_random_uuid(), -1, now() - n * interval '10 days' FROM generate_series(0, 5) n"""
    )
    await measure(database)
    assert await api.value("SELECT count(*) FROM usage_writers WHERE batch = -1") == 4


async def test_a_job_does_it(api: Api, database: Database) -> None:
    ada = await api.account()
    for name in ("a", "b"):
        await make_repository(api, ada, name)
    await api.fetch(AGE, 2)
    job_id = await put(database, MeasureUsagePayload())
    job = await wait_for(database, job_id, "completed")
    assert json.loads(job["result"])["done"] == str(2 * (2 + 1))
    assert len(await read_yesterday(api)) == 3
