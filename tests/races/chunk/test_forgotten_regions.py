"""A region is given up while a repository chooses it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from grpc import StatusCode

from services.admin.stores import evacuate_region
from services.chunk.placement import evacuation
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, blocked, transaction
from tests.support.regions import set_policy, with_regions


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_regions(settings, tmp_path)


async def test_a_region_that_is_being_chosen_stays(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    (database,) = databases.every()
    async with asyncio.TaskGroup() as tasks, transaction(api) as other:
        # The choice is made, and not committed.
        await other.execute("LOCK TABLE audit_log IN SHARE MODE")
        tasks.create_task(set_policy(shelf, "attic"))
        await blocked(api)
        giving_up = tasks.create_task(evacuate_region(database, settings, "attic", "far"))
        await blocked(api, 2)
    assert "no region any more" not in giving_up.result()[1]
    assert await api.value("SELECT count(*) FROM stores WHERE bucket = 'attic'") == 1


async def test_a_region_that_is_being_given_up_cannot_be_chosen(api: Api) -> None:
    shelf = await Shelf.open(api)
    async with asyncio.TaskGroup() as tasks, transaction(api) as other:
        await other.execute(evacuation.Q.hold_regions)
        assert await other.fetch(evacuation.Q.forget_region, "attic")
        choosing = tasks.create_task(choose(shelf, "attic"))
        await blocked(api)
    assert choosing.done()


async def choose(shelf: Shelf, region: str) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await set_policy(shelf, region)
