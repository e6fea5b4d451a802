"""Keys of packs: two cells, each with its own database, store into one bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from migrations.runner import migrate
from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.background.open_pack_sweep import OpenPackSweep
from shared.runtime.config import Settings
from tests.support.api import Api, running_suite
from tests.support.cells import move_to
from tests.support.chunks import Shelf, files, some
from tests.support.scratch_databases import open_databases
from tests.support.stores import open_store


@pytest.fixture
async def other_api(empty_database: str, settings: Settings) -> AsyncIterator[Api]:
    """Cell 1; `api` is cell 0."""
    await migrate(empty_database)
    async with running_suite(empty_database, settings.model_copy(update={"cell": 1})) as other:
        yield other


@pytest.fixture
async def other_shelf(other_api: Api) -> Shelf:
    """A repository in cell 1."""
    who = await other_api.account()
    await move_to(other_api, who, 1)
    return Shelf(other_api, who, await other_api.repository(who))


def listed(settings: Settings, prefix: str) -> set[str]:
    """The keys of the store that begin with a prefix."""
    return {key for key in files(settings) if key.startswith(prefix)}


async def pack_keys(api: Api) -> set[str]:
    return {row["key"] for row in await api.fetch("SELECT key FROM packs")}


async def test_cells_never_name_each_others_packs(
    api: Api, other_api: Api, other_shelf: Shelf, settings: Settings
) -> None:
    shelf = await Shelf.open(api)
    common, own, other_own = some(), some(), some()
    await shelf.put(common, own)
    # A chunk is stored once in each cell.
    assert (await other_shelf.put(common, other_own)).stored_chunk_count == 2
    keys, other_keys = await pack_keys(api), await pack_keys(other_api)
    assert (listed(settings, "0/"), listed(settings, "1/")) == (keys, other_keys)
    assert len(keys) == len(other_keys) == 1
    assert set(files(settings)) == keys | other_keys
    await shelf.get(common, own)
    await other_shelf.get(common, other_own)


async def test_a_cell_clears_away_only_its_own_packs(
    api: Api, other_api: Api, other_shelf: Shelf, settings: Settings
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    await other_shelf.put(data)
    await other_api.fetch(
        """WITH refs AS (DELETE FROM chunk_refs), gone AS (DELETE FROM chunks), packs AS (
               UPDATE packs SET state = 'open', live = 0, created_at = now() - interval '2 days')
           SELECT"""
    )
    store = open_store(settings)
    for cell, each in enumerate((api, other_api)):
        async with open_databases(each.dsn) as databases:
            sweep = OpenPackSweep(databases, open_pack_age=timedelta(0))
            assert await sweep.sweep_packs() == cell
            reaper = ObjectReaper(databases, {store.bucket: store}, cell)
            assert await reaper.reap_objects() == cell
    assert set(files(settings)) == await pack_keys(api)
    await shelf.get(data)
