"""`dits usage`: as a table, as JSON and as CSV."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from tests.support.api import Account, Api
from tests.support.client import Run
from tests.support.usage import FIRST, LAST, add_organization, add_usage

DAYS = ("--from", FIRST, "--to", LAST)


@pytest.fixture
async def ada(api: Api, logged_in: str) -> Account:
    return Account(await api.value("SELECT id FROM users"), logged_in, "")


async def test_a_table(run: Run, api: Api, ada: Account) -> None:
    await add_usage(api, "user", ada.id, "2026-01-30", 1, stored=40_000)
    await add_usage(api, "user", ada.id, "2026-02-01", 2_000_000)
    told = await run("usage", *DAYS, "--by", "month")
    lines = [line.split() for line in told.splitlines()]
    assert lines[0][:3] == ["from", "requests", "received"]
    assert lines[1] == "2026-01-30 1 2 B 3 B 4 5 1 80.0 kB 40.0 kB 20.0 kB".split()
    assert lines[2] == "2026-02-01 2000000 4.0 MB 6.0 MB 8000000 10000000 2000000 - - -".split()
    assert lines[3][:2] == ["total", "2000001"]
    assert len({len(line) for line in told.splitlines()}) == 1


async def test_days_without_usage_are_left_out_of_the_table(
    run: Run, api: Api, ada: Account
) -> None:
    assert [line.split()[0] for line in (await run("usage", *DAYS)).splitlines()] == [
        "from",
        "total",
    ]
    await add_usage(api, "user", ada.id, "2026-01-31", 1)
    # Measured, and nothing is stored.
    await add_usage(api, "user", ada.id, "2026-02-01", 0, stored=0)
    await add_usage(api, "user", ada.id, "2026-02-02", 0, stored=40_000)
    lines = (await run("usage", *DAYS)).splitlines()
    assert [line.split()[0] for line in lines] == ["from", "2026-01-31", "2026-02-02", "total"]


async def test_json_of_a_repository(run: Run, api: Api, ada: Account) -> None:
    await run("repo", "create", "film")
    repository_id: UUID = await api.value("SELECT id FROM repositories")
    await add_usage(api, "repository", repository_id, FIRST, 7)
    told = json.loads(await run("usage", "--repository", "ada/film", *DAYS, "--json"))
    assert [period["requests"] for period in told["periods"]] == [7, 0, 0, 0]
    assert told["total"]["first_day"] == FIRST
    assert told["total"]["sent_bytes"] == 21
    assert told["total"]["storage_day"] == ""


async def test_csv_of_an_organization(run: Run, api: Api, ada: Account) -> None:
    org_id = await add_organization(api, ada)
    await add_usage(api, "organization", org_id, FIRST, 7)
    told = await run("usage", "--organization", "studio", *DAYS, "--csv")
    assert told.splitlines() == [
        "day,type,id,name,requests,received_bytes,sent_bytes,pushes,pulls,contributors,"
        "logical_bytes,stored_bytes,apportioned_bytes",
        f"{FIRST},organization,{org_id},studio,7,14,21,28,35,7,,,",
    ]


async def test_refusals(run: Run, ada: Account) -> None:
    assert "the first day" in await run("usage", "--from", LAST, "--to", FIRST, fails=True)
    assert "not found" in await run("usage", "--organization", "absent", "--csv", fails=True)
    assert "not found" in await run("usage", "--repository", "ada/absent", fails=True)
