"""Copies are dropped only beside others that were read."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from dits.common.v1.job_pb2 import CheckPlacementPayload

from services.chunk.placement import wanted_places
from services.chunk.placement.wanted_places import trim_copies
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.integration.chunk.test_storage_maintenance import damage
from tests.support.api import Api
from tests.support.chunks import Shelf, digest, files, some
from tests.support.collection import maintain, reference
from tests.support.regions import (
    assert_sound,
    objects,
    places,
    reap_all,
    set_policy,
    settle,
    wait_while,
    with_regions,
)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_regions(settings, tmp_path)


@pytest.mark.parametrize("bad_region", ["local", "far"])
async def test_no_copy_goes_before_another_was_read(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path, bad_region: str
) -> None:
    shelf = await Shelf.open(api)
    await set_policy(shelf, "local", "far")
    bad, good = some(), some()
    await shelf.put(bad, good)
    await settle(api)
    # What is to stay is damaged there, and nobody knows it yet.
    (path,) = files(settings).values() if bad_region == "local" else objects(tmp_path / "far")
    damage(path, path.read_bytes().index(bad))
    await set_policy(shelf, bad_region)
    await settle(api)
    await reap_all(databases, settings)
    assert await places(api, good) == [bad_region]
    await shelf.get(bad, good)
    # It is healed, and goes then.
    await wait_while(
        api,
        """SELECT count(*) FROM jobs WHERE job_type = 'repair_pack' AND status IN ('pending', 'running')""",
    )
    await maintain(api, databases, CheckPlacementPayload())
    await reap_all(databases, settings)
    assert await places(api, bad) == [bad_region]
    await shelf.get(bad, good)
    await assert_sound(api, databases, settings)


async def test_nothing_goes_when_the_copy_that_was_read_is_not_wanted_any_more(
    api: Api, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    await set_policy(shelf, "local", "far", "attic")
    data = some()
    await shelf.put(data)
    assert await reference(shelf, data) == []
    await settle(api)
    await api.fetch("UPDATE repository_regions SET regions = '{attic}'")
    (database,) = databases.every()
    await trim_copies(database, {digest(data).hex(): ["far"]}, timedelta())
    assert sorted(await places(api, data)) == ["attic", "far", "local"]
    await trim_copies(database, {digest(data).hex(): ["attic"]}, timedelta())
    assert await places(api, data) == ["attic"]


async def test_a_copy_whose_chunk_is_held_goes_later(
    api: Api, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wanted_places, "_PAUSES", [0.01] * 9_000)
    shelf = await Shelf.open(api)
    await set_policy(shelf, "local", "far")
    data = some()
    await shelf.put(data)
    assert await reference(shelf, data) == []
    await settle(api)
    await api.fetch("UPDATE repository_regions SET regions = '{far}'")
    (database,) = databases.every()
    holder = await asyncpg.connect(api.dsn)
    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM chunks FOR NO KEY UPDATE")
            proven = {digest(data).hex(): ["far"]}
            trimming = asyncio.create_task(trim_copies(database, proven, timedelta()))
            done, _ = await asyncio.wait({trimming}, timeout=0.1)
            assert not done
        assert (await trimming).moved == 1
    finally:
        await holder.close()
    assert await places(api, data) == ["far"]
