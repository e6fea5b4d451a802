"""The collection against uploads, pushes, looks and purges, in both orders."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.chunk.collection.chunk_deletion import ChunkDeletion
from services.chunk.collection.claim_sweep import ClaimSweep
from shared.db.pool import Database
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import (
    Shelf,
    assert_stored,
    blocked,
    digest,
    some,
    transaction,
)
from tests.support.collection import end_claims, exhaust, hexes, reference, release

NOW = timedelta(0)
# Every claim has ended, and every grace: their times are the test's.
LATER = datetime(9999, 1, 1, tzinfo=UTC)


async def sweep(database: Database) -> int:
    """Drops claims that have ended for a day; returns their number."""
    ended = datetime.now(UTC) - timedelta(days=1)
    return sum(await exhaust(ClaimSweep(grace=NOW).drop_claims(database, ended)))


async def collect(database: Database) -> int:
    """Deletes all chunks without references; returns their number."""
    deleted = await exhaust(ChunkDeletion(reader_grace=NOW).delete_chunks(database, LATER))
    return sum(batch.chunks for batch in deleted)


async def claims(api: Api) -> int:
    count: int = await api.value("SELECT count(*) FROM chunk_refs")
    return count


async def test_an_upload_that_is_about_to_commit(
    api: Api, settings: Settings, database: Database
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    dead, ended = some(), some()
    await shelf.put(dead, ended)
    await end_claims(api)
    await api.fetch("DELETE FROM chunk_refs WHERE chunk_hash = $1", digest(dead).hex())
    await api.fetch(
        "UPDATE chunks SET ref_count = 0, delete_after = now() WHERE hash = $1", digest(dead).hex()
    )
    async with transaction(api) as connection:
        # It holds the chunks, and waits for a place for its claim.
        await connection.execute(
            "INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size) VALUES ($1, $2, 1000)",
            elsewhere.repo.id,
            digest(dead).hex(),
        )
        upload = asyncio.create_task(elsewhere.put(dead, ended))
        await blocked(api)
        assert (await sweep(database), await collect(database)) == (0, 0)
        await connection.execute("DELETE FROM chunk_refs WHERE repo_id = $1", elsewhere.repo.id)
    assert (await upload).stored_chunk_count == 2
    # The bytes that were there before are still those that count.
    assert await api.value("SELECT count(*) FROM packs") == 1
    assert (await sweep(database), await collect(database)) == (1, 0)
    await elsewhere.get(dead, ended)
    await assert_stored(api, settings)


async def test_an_upload_waits_for_the_collection(
    api: Api, settings: Settings, database: Database
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    data, other = some(), some()
    await shelf.put(data, other)
    await end_claims(api)
    await sweep(database)
    async with transaction(api) as connection:
        # The collection has deleted the chunk, and is stopped at its pack.
        await connection.execute("SELECT FROM packs FOR UPDATE")
        deletion = asyncio.create_task(collect(database))
        await blocked(api)
        upload = asyncio.create_task(elsewhere.put(data))
        await blocked(api, 2)
    assert await deletion == 2
    assert (await upload).stored_chunk_count == 1
    await elsewhere.get(data)
    await assert_stored(api, settings)


async def test_an_upload_waits_for_the_sweep(
    api: Api, settings: Settings, database: Database
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    data, kept = some(), some()
    await shelf.put(data, kept)
    await end_claims(api)
    async with transaction(api) as connection:
        await connection.execute("SELECT FROM repositories FOR UPDATE")
        uploads = [asyncio.create_task(each.put(data)) for each in (shelf, elsewhere)]
        await blocked(api, 2)
        assert await sweep(database) == 2
    assert [answer.stored_chunk_count for answer in await asyncio.gather(*uploads)] == [1, 1]
    assert await api.value("SELECT count(*) FROM packs") == 1
    assert await collect(database) == 1
    await shelf.get(data)
    await elsewhere.get(data)
    await assert_stored(api, settings)


@pytest.mark.parametrize("is_push_first", [True, False])
async def test_a_push_and_the_sweep(
    api: Api, settings: Settings, database: Database, is_push_first: bool
) -> None:
    shelf = await Shelf.open(api)
    data = [some() for _ in range(3)]
    await shelf.put(*data)
    await end_claims(api)
    if is_push_first:
        async with transaction(api) as connection:
            query = "SELECT missing FROM reference_chunks($1::uuid, $2, $3, NULL)"
            await connection.fetchval(query, shelf.repo.id, hexes(data[:2]), [1, 1])
            assert await sweep(database) == 1
        assert await sweep(database) == 0
        assert await collect(database) == 1
        await shelf.get(*data[:2])
    else:
        async with transaction(api) as connection:
            # The push is stopped at its first chunk. The sweep leaves that out.
            await connection.execute("SELECT FROM chunk_refs ORDER BY chunk_hash LIMIT 1 FOR SHARE")
            pushing = asyncio.create_task(reference(shelf, *data))
            await blocked(api)
            assert await sweep(database) == 2
        assert len(await pushing) == 2
        assert await sweep(database) == 1
        assert await reference(shelf, *data) == sorted(hexes(data))
    await assert_stored(api, settings)


@pytest.mark.parametrize("is_renewed_first", [True, False])
async def test_a_look_renews_a_claim_or_tells_the_truth(
    api: Api, database: Database, is_renewed_first: bool
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    await end_claims(api)
    if is_renewed_first:
        assert await shelf.missing(data) == [False]
    assert await sweep(database) == (0 if is_renewed_first else 1)
    assert await shelf.missing(data) == [not is_renewed_first]


async def test_a_chunk_that_is_dead_and_referenced_is_left_alone(
    api: Api, database: Database
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    await api.fetch("UPDATE chunks SET ref_count = 0, delete_after = now()")
    assert await collect(database) == 0
    await shelf.get(data)


async def test_everybody_at_once(api: Api, settings: Settings, database: Database) -> None:
    shelves = [await Shelf.open(api) for _ in range(3)]
    pool = [some(200) for _ in range(40)]

    async def work(shelf: Shelf, number: int) -> None:
        for turn in range(6):
            mine = pool[(number * 7 + turn * 3) % 30 :][:10]
            await shelf.put(*mine)
            while missing := set(await reference(shelf, *mine)):
                await shelf.put(*(each for each in mine if digest(each).hex() in missing))
            await shelf.get(*mine)
            await release(shelf, *mine)

    async def clean() -> None:
        for _ in range(15):
            await end_claims(api)
            await sweep(database)
            await collect(database)

    await asyncio.gather(*(work(shelf, number) for number, shelf in enumerate(shelves)), clean())
    await end_claims(api)
    await sweep(database)
    await collect(database)
    assert await claims(api) == 0
    assert await api.value("SELECT count(*) FROM packs") == 0
    await assert_stored(api, settings)
