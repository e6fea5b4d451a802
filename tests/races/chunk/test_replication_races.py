"""Replication against the collection, and against an upload that makes a lost chunk whole."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest

from services.chunk.catalog.presence import Presence
from services.chunk.collection.good_copies import GoodCopies
from services.chunk.packs.pack import Pack
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.opening import open_known_stores
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.races.chunk.test_compaction import collect, kill
from tests.support.api import Api, running_suite
from tests.support.chunks import Shelf, blocked, chunk, digest, files, transaction
from tests.support.counters import assert_counters
from tests.support.regions import NOW, places, replicate, set_policy, settle, with_regions
from tests.support.waiting import PATIENCE_SECONDS

# It compresses well.
DATA = bytes(5000)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_regions(settings, tmp_path)


async def put_due(api: Api) -> Shelf:
    """Stores a chunk whose copy in the region far is due when the test says so."""
    shelf = await Shelf.open(api)
    await set_policy(shelf, "local", "far", seconds=3600)
    await settle(api)
    await shelf.upload([chunk(DATA, zstd=True)])
    await api.fetch("DELETE FROM due_copies WHERE region = 'local'")
    return shelf


async def begin_copy(databases: Databases, settings: Settings) -> tuple[PackWriter, Pack]:
    """Reads the chunk and writes it into a pack of the region far, which is not finalized."""
    (database,) = databases.every()
    stores = await open_known_stores(database, settings)
    presence = Presence(databases, timedelta(days=1))
    home = PackWriter(databases, stores["local"], presence, cell=0, reader_grace=NOW)
    packs = home.for_store(stores["far"])
    pack = packs.begin_pack_in(database)
    async with aclosing(GoodCopies(database, stores).read_chunks({digest(DATA)})) as groups:
        async for good in groups:
            await packs.append_chunks(pack, good)
    return packs, pack


@pytest.mark.parametrize("is_collected_first", [True, False])
async def test_the_collection_takes_a_chunk_that_is_being_copied(
    api: Api, settings: Settings, databases: Databases, is_collected_first: bool
) -> None:
    await put_due(api)
    packs, pack = await begin_copy(databases, settings)
    if is_collected_first:
        await kill(api, DATA)
        assert await collect(databases) == 1
        assert (await packs.finalize_copies(pack)).chunks == 0
    else:
        assert (await packs.finalize_copies(pack)).chunks == 1
        await kill(api, DATA)
        assert await collect(databases) == 1
    for table in ("chunks", "chunk_locations", "packs"):
        assert await api.value(f"SELECT count(*) FROM {table}") == 0, table
    await assert_counters(api.dsn)


@pytest.mark.parametrize("is_whole_first", [True, False])
async def test_a_lost_chunk_comes_in_another_form_while_it_is_copied(
    api: Api, settings: Settings, databases: Databases, is_whole_first: bool
) -> None:
    shelf = await put_due(api)
    packs, pack = await begin_copy(databases, settings)
    await api.fetch("UPDATE chunks SET lost_at = now()")
    if is_whole_first:
        await shelf.put(DATA)
        assert (await packs.finalize_copies(pack)).chunks == 0
    else:
        async with transaction(api) as connection:
            # The copy is noted, with the chunk locked; the upload waits for the lock.
            await connection.execute("SELECT FROM due_copies FOR UPDATE")
            copying = asyncio.create_task(packs.finalize_copies(pack))
            await blocked(api)
            filling = asyncio.create_task(shelf.put(DATA))
            await blocked(api, 2)
        assert (await copying).chunks == 1
        await filling
    # The first copy had the bytes of the lost form. It is made again, here or by the worker of the service.
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await api.value("SELECT EXISTS (SELECT FROM due_copies WHERE region = 'far')"):
            await api.fetch("UPDATE due_copies SET due_at = now()")
            await replicate(databases, settings, "far")
    assert await places(api, DATA) == ["local", "far"]
    for path in files(settings).values():
        path.write_bytes(b"")
    await shelf.get(DATA)
    await assert_counters(api.dsn)


async def test_a_chunk_comes_home_into_the_region_for_which_it_is_copied(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf = await put_due(api)
    packs, pack = await begin_copy(databases, settings)
    await api.fetch("UPDATE chunks SET lost_at = now()")
    stores = settings.stores | {"local": (str(settings.data_dir / "chunks" / "local"),)}
    there = settings.model_copy(update={"region": "far", "stores": stores})
    async with running_suite(api.dsn, there) as far:
        await Shelf(far, shelf.who, shelf.repo).upload([chunk(DATA, zstd=True)])
    # A home copy and another one in one region would be one place that counts twice.
    assert (await packs.finalize_copies(pack)).chunks == 0
    assert (await places(api, DATA))[0] == "far"
    assert await api.value("SELECT count(*) FROM chunk_locations WHERE region = 'far'") == 0
    await assert_counters(api.dsn)
