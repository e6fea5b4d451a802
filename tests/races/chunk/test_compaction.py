"""Compaction against the collection, itself, the sweep of open packs, and uploads that repair."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.chunk.catalog.presence import Presence
from services.chunk.collection.chunk_deletion import ChunkDeletion
from services.chunk.collection.compaction import Compaction
from services.chunk.packs.pack_writer import PackWriter
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import (
    Shelf,
    assert_stored,
    blocked,
    digest,
    files,
    some,
    transaction,
)
from tests.support.collection import DAY, exhaust, reap
from tests.support.stores import open_store

NOW = timedelta(0)
LATER = datetime(9999, 1, 1, tzinfo=UTC)


async def compact(databases: Databases, settings: Settings) -> int:
    """Compacts every pack, whatever is in it; returns the number of moved chunks."""
    store = open_store(settings)
    packs = PackWriter(databases, store, Presence(databases, DAY), cell=0, reader_grace=NOW)
    compaction = Compaction(store, packs, dead_percent=1e-9, pack_bytes=1 << 20, open_pack=DAY)
    done = await exhaust(compaction.compact_packs(databases.every()[0]))
    return sum(each.moved.chunks for each in done)


async def collect(databases: Databases) -> int:
    """Deletes all chunks without references; returns their number."""
    deletion = ChunkDeletion(reader_grace=NOW)
    deleted = await exhaust(deletion.delete_chunks(databases.every()[0], LATER))
    return sum(batch.chunks for batch in deleted)


async def kill(api: Api, data: bytes) -> None:
    """Takes the only claim of a chunk away."""
    name = digest(data).hex()
    await api.fetch("DELETE FROM chunk_refs WHERE chunk_hash = $1", name)
    await api.fetch("UPDATE chunks SET ref_count = 0, delete_after = now() WHERE hash = $1", name)


async def put_sparse(api: Api, shelf: Shelf) -> tuple[bytes, bytes]:
    """Stores a pack with a dead chunk, a live one, and the place of one that is gone."""
    dead, kept, gone = some(), some(), some()
    await shelf.put(dead, kept, gone)
    name = digest(gone).hex()
    await api.fetch("DELETE FROM chunk_refs WHERE chunk_hash = $1", name)
    await api.fetch("DELETE FROM chunks WHERE hash = $1", name)
    await api.fetch("UPDATE packs SET live = 2")
    await kill(api, dead)
    return dead, kept


@pytest.mark.parametrize("is_collected_first", [True, False])
async def test_the_collection_takes_a_chunk_that_is_being_moved(
    api: Api, settings: Settings, databases: Databases, is_collected_first: bool
) -> None:
    shelf = await Shelf.open(api)
    _, kept = await put_sparse(api, shelf)
    async with transaction(api) as connection:
        # Whoever is first waits for the old pack with the chunks locked.
        await connection.execute("SELECT FROM packs FOR UPDATE")
        if is_collected_first:
            collecting = asyncio.create_task(collect(databases))
            await blocked(api)
            moving = asyncio.create_task(compact(databases, settings))
            await blocked(api, 2)
        else:
            moving = asyncio.create_task(compact(databases, settings))
            await blocked(api)
            collecting = asyncio.create_task(collect(databases))
            assert await collecting == 0
    assert (await moving, await collecting) == ((1, 1) if is_collected_first else (2, 0))
    assert await collect(databases) == (0 if is_collected_first else 1)
    await assert_stored(api, settings)
    await shelf.get(kept)
    assert await api.value("SELECT count(*) FROM packs") == 1


async def test_two_compactions_move_each_chunk_once(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    _, kept = await put_sparse(api, shelf)
    async with transaction(api) as connection:
        await connection.execute("SELECT FROM packs FOR UPDATE")
        moving = [asyncio.create_task(compact(databases, settings)) for _ in range(2)]
        await blocked(api, 2)
    assert sorted(await asyncio.gather(*moving)) == [0, 2]
    await assert_stored(api, settings)
    await reap(databases, settings)
    assert len(files(settings)) == 1
    await shelf.get(kept)


@pytest.mark.parametrize("is_upload_first", [True, False])
async def test_an_upload_repairs_a_chunk_that_is_being_moved(
    api: Api, settings: Settings, databases: Databases, is_upload_first: bool
) -> None:
    shelf = await Shelf.open(api)
    _, kept = await put_sparse(api, shelf)
    await api.fetch("UPDATE chunks SET lost_at = now() WHERE ref_count > 0")
    async with transaction(api) as connection:
        await connection.execute("SELECT FROM packs FOR UPDATE")
        if is_upload_first:
            upload = asyncio.create_task(shelf.put(kept))
            await blocked(api)
            moving = asyncio.create_task(compact(databases, settings))
        else:
            moving = asyncio.create_task(compact(databases, settings))
            await blocked(api)
            upload = asyncio.create_task(shelf.put(kept))
        await blocked(api, 2)
    assert (await upload).stored_chunk_count == (1 if is_upload_first else 0)
    assert await moving == (1 if is_upload_first else 2)
    assert await api.value("SELECT count(*) FROM chunks WHERE lost_at IS NOT NULL") == 0
    await assert_stored(api, settings)
    await shelf.get(kept)
