"""Finalizing packs against each other and against the sweep, in every order that locks allow."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from uuid import UUID

import pytest
from grpc import StatusCode

from services.chunk.background import open_pack_sweep
from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.background.open_pack_sweep import OpenPackSweep
from services.chunk.catalog.presence import Presence
from services.chunk.packs.content import Chunk
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.blob_store import BlobStore
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import (
    Shelf,
    assert_stored,
    blocked,
    chunk,
    digest,
    files,
    some,
    transaction,
)
from tests.support.stores import open_store


@pytest.fixture
def store(settings: Settings) -> BlobStore:
    """The store of the running service, a second time."""
    return open_store(settings)


@pytest.fixture
def sweep(databases: Databases) -> OpenPackSweep:
    """A sweep for which every open pack is old."""
    return OpenPackSweep(databases, open_pack_age=timedelta(0))


@pytest.fixture
def reaper(databases: Databases, store: BlobStore) -> ObjectReaper:
    return ObjectReaper(databases, {store.bucket: store}, 0)


async def test_the_sweep_comes_first(
    api: Api, settings: Settings, sweep: OpenPackSweep, reaper: ObjectReaper
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    async with transaction(api) as connection:
        await connection.execute("SELECT FROM repositories FOR UPDATE")
        upload = asyncio.create_task(shelf.put(data))
        await blocked(api)
        assert await sweep.sweep_packs() == 1
        assert await reaper.reap_objects() == 1
    with refused(StatusCode.ABORTED, "UPLOAD_EXPIRED"):
        await upload
    # The upload cannot know whether its object came after the reaper: it is queued once more.
    assert await shelf.missing(data) == [True]
    await assert_stored(api, settings)
    await reaper.reap_objects()
    assert files(settings) == {}
    await shelf.put(data)
    await shelf.get(data)


async def test_the_sweep_is_about_to_commit(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    data = some()
    async with transaction(api) as sweeping:
        async with transaction(api) as connection:
            await connection.execute("SELECT FROM repositories FOR UPDATE")
            upload = asyncio.create_task(shelf.put(data))
            await blocked(api)
            keys = await sweeping.fetch(open_pack_sweep.Q.hold_stale_packs, timedelta(0))
            assert len(keys) == 1
        # The upload has the repository now, and waits for its own pack.
        await blocked(api)
        await sweeping.execute(open_pack_sweep.Q.drop_packs, [keys[0]["key"]])
    with refused(StatusCode.ABORTED, "UPLOAD_EXPIRED"):
        await upload
    assert await api.value("SELECT count(*) FROM chunks") == 0
    await assert_stored(api, settings)


async def test_the_upload_comes_first(api: Api, settings: Settings, sweep: OpenPackSweep) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    common, data = some(), some()
    await shelf.put(common)
    async with transaction(api) as connection:
        await connection.execute("SELECT FROM chunks FOR UPDATE")
        upload = asyncio.create_task(elsewhere.put(common, data))
        await blocked(api)
        # It holds its pack and waits for the chunk.
        assert await sweep.sweep_packs() == 0
    assert (await upload).stored_chunk_count == 2
    assert await sweep.sweep_packs() == 0
    await elsewhere.get(common, data)
    await assert_stored(api, settings)


async def test_chunks_that_are_there_are_locked_in_order(api: Api, settings: Settings) -> None:
    """Against the collector, which takes what is not locked, and against deadlocks."""
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    low, middle, high = sorted((some() for _ in range(3)), key=digest)
    await shelf.put(low, middle, high)
    async with transaction(api) as connection:
        lock = "SELECT FROM chunks WHERE hash = $1 FOR UPDATE"
        await connection.execute(lock, digest(middle).hex())
        upload = asyncio.create_task(elsewhere.put(high, middle, low))
        await blocked(api)
        async with transaction(api) as collector:
            free = await collector.fetch("SELECT hash FROM chunks FOR UPDATE SKIP LOCKED")
    assert [row["hash"] for row in free] == [digest(high).hex()]
    await upload
    await assert_stored(api, settings)


async def test_what_is_finalized_cannot_be_abandoned(
    api: Api, settings: Settings, store: BlobStore, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    day = timedelta(days=1)
    packs = PackWriter(databases, store, Presence(databases, day), cell=0, reader_grace=day)
    pack = packs.begin_pack(UUID(shelf.repo.id))
    await packs.append_chunks(pack, [Chunk(digest(data), len(data), "none", data)])
    await packs.finalize_pack(pack, UUID(shelf.repo.id))
    # The caller may never have heard of its success.
    await packs.abandon_pack(pack)
    assert await api.value("SELECT count(*) FROM object_deletions") == 0
    await shelf.get(data)
    await assert_stored(api, settings)


@pytest.mark.parametrize("first", [0, 1])
async def test_two_repositories_bring_the_same_chunks(
    api: Api, settings: Settings, first: int
) -> None:
    shelves = [await Shelf.open(api), await Shelf.open(api)]
    one, other = shelves[first], shelves[1 - first]
    old, new = some(), [some() for _ in range(5)]
    await (await Shelf.open(api)).put(old)
    async with transaction(api) as connection:
        # A claim that is not committed yet stops the first upload between its chunks and its claims.
        await connection.execute(
            "INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size) VALUES ($1, $2, 1000)",
            one.repo.id,
            digest(old).hex(),
        )
        uploads = [asyncio.create_task(one.put(old, *new))]
        await blocked(api, 1)
        uploads.append(asyncio.create_task(other.put(*reversed(new), old)))
        await blocked(api, 2)
        await connection.execute("DELETE FROM chunk_refs WHERE repo_id = $1", one.repo.id)
    answers = await asyncio.gather(*uploads)
    assert [answer.stored_chunk_count for answer in answers] == [6, 6]
    counts = await api.fetch("SELECT ref_count, count(*) FROM chunks GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in counts] == [(2, 5), (3, 1)]
    await one.get(old, *new)
    await other.get(old, *new)
    # The pack of the second one was not needed.
    assert await api.value("SELECT count(*) FROM packs") == 2
    assert await api.value("SELECT count(*) FROM object_deletions") == 1
    await assert_stored(api, settings)


async def test_one_repository_brings_the_same_chunks_twice(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    data = [some() for _ in range(50)]
    orders = [random.Random(n).sample(data, 50) for n in range(6)]
    answers = await asyncio.gather(*(shelf.put(*order) for order in orders))
    assert sorted(answer.stored_chunk_count for answer in answers) == [0] * 5 + [50]
    assert await api.value("SELECT count(*) FROM chunks WHERE ref_count = 1") == 50
    await shelf.get(*data)
    await assert_stored(api, settings)


async def test_a_crowd_with_much_in_common(
    api: Api, settings: Settings, reaper: ObjectReaper
) -> None:
    shelves = [await Shelf.open(api) for _ in range(4)]
    pool = [some(200) for _ in range(60)]
    rng = random.Random(3)
    held: list[set[bytes]] = [set() for _ in shelves]

    async def work(shelf: Shelf, mine: set[bytes]) -> None:
        for _ in range(8):
            data = rng.sample(pool, 20)
            (answer,) = await shelf.upload([chunk(each, zstd=rng.random() < 0.5) for each in data])
            assert not answer.failures
            mine.update(data)

    async def reap() -> None:
        for _ in range(20):
            await reaper.reap_objects()

    work_all = [work(shelf, mine) for shelf, mine in zip(shelves, held, strict=True)]
    await asyncio.gather(*work_all, reap())
    for shelf, mine in zip(shelves, held, strict=True):
        await shelf.get(*mine)
        assert await shelf.missing(*pool) == [data not in mine for data in pool]
    await assert_stored(api, settings)
