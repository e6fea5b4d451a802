"""A copy against the sweep of claims, the collection, and an upload, in both orders."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.collection.chunk_deletion import ChunkDeletion
from services.chunk.collection.claim_sweep import ClaimSweep
from shared.db.clock import read_clock
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
from tests.support.collection import end_claims, exhaust

NOW = timedelta(0)


async def collect(database: Database) -> int:
    """Drops the claims that have ended, and deletes what nobody refers to; returns how many chunks went."""
    time = await read_clock(database)
    await exhaust(ClaimSweep(NOW).drop_claims(database, time - timedelta(days=1)))
    deleted = await exhaust(ChunkDeletion(NOW).delete_chunks(database, await read_clock(database)))
    return sum(batch.chunks for batch in deleted)


async def copy(shelf: Shelf, source: Shelf, *data: bytes) -> pb.CopyChunksResponse:
    """Copies chunks."""
    request = pb.CopyChunksRequest(
        repository=shelf.repo.id,
        source_repository=source.repo.id,
        hashes=b"".join(map(digest, data)),
    )
    response: pb.CopyChunksResponse = await shelf.api.chunks.CopyChunks(
        request, metadata=shelf.who.auth
    )
    return response


async def open_two(api: Api) -> tuple[Shelf, Shelf]:
    """Two repositories of one owner."""
    shelf = await Shelf.open(api)
    return shelf, Shelf(api, shelf.who, await api.repository(shelf.who))


async def test_a_copy_that_waits_for_the_sweep(
    api: Api, settings: Settings, database: Database
) -> None:
    shelf, source = await open_two(api)
    data = some()
    await source.put(data)
    await end_claims(api)
    async with transaction(api) as connection:
        # As the sweep does it.
        await connection.execute("SELECT FROM chunks FOR NO KEY UPDATE")
        await connection.execute("DELETE FROM chunk_refs")
        await connection.execute("UPDATE chunks SET ref_count = 0, delete_after = now()")
        copying = asyncio.create_task(copy(shelf, source, data))
        await blocked(api)
    assert (await copying).missing_count == 1
    assert await collect(database) == 1
    await assert_stored(api, settings)


async def test_a_collection_that_meets_a_copy(
    api: Api, settings: Settings, database: Database
) -> None:
    shelf, source = await open_two(api)
    data = some()
    await source.put(data)
    await end_claims(api)
    async with transaction(api) as connection:
        # The copy has the chunk, and waits for a place for its claim.
        await connection.execute(
            "INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size) VALUES ($1, $2, 1000)",
            shelf.repo.id,
            digest(data).hex(),
        )
        copying = asyncio.create_task(copy(shelf, source, data))
        await blocked(api)
        assert await collect(database) == 0
        await connection.execute("DELETE FROM chunk_refs WHERE repo_id = $1", shelf.repo.id)
    assert (await copying).copied_count == 1
    # The claim of the source goes now, the copy stays.
    assert await collect(database) == 0
    await shelf.get(data)
    await assert_stored(api, settings)


async def test_copies_back_and_forth(api: Api, settings: Settings) -> None:
    shelf, source = await open_two(api)
    mine, theirs = [some() for _ in range(40)], [some() for _ in range(40)]
    await asyncio.gather(shelf.put(*mine), source.put(*theirs))
    copies = [copy(shelf, source, *theirs[::step]) for step in (1, -1)]
    copies += [copy(source, shelf, *mine[::step]) for step in (1, -1)]
    uploads = [shelf.put(*theirs[20:]), source.put(*mine[:20])]
    answers, _ = await asyncio.gather(asyncio.gather(*copies), asyncio.gather(*uploads))
    assert all(answer.missing_count == 0 for answer in answers)
    await shelf.get(*mine, *theirs)
    await source.get(*mine, *theirs)
    await assert_stored(api, settings)
