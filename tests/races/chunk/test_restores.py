"""Restores of chunks that somebody else moves at the same moment: another restore, or a policy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from dits.chunk.v1 import tier_service_pb2 as pb

from services.chunk.catalog.presence import Presence
from services.chunk.collection.restore_work import RestoreWork
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.tiers import open_places
from shared.db.pool import Databases
from shared.jobs.running_job import RetryLater
from shared.runtime.config import Settings
from tests.races.chunk.test_tier_moves import cool
from tests.support.api import Api
from tests.support.chunks import Shelf, blocked, digest, some, transaction
from tests.support.collection import DAY, reference
from tests.support.counters import assert_counters
from tests.support.tiers import TierDesk, with_tiers


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Nobody but the test works on jobs."""
    return with_tiers(settings, tmp_path / "tiers", worker=False)


async def open_desks(api: Api, databases: Databases, data: bytes, count: int) -> list[TierDesk]:
    """Repositories that refer to a chunk."""
    desks = [TierDesk(await Shelf.open(api), databases) for _ in range(count)]
    for desk in desks:
        await desk.shelf.put(data)
        await reference(desk.shelf, data)
        await desk.age(100, data)
    return desks


async def begin_warming(desk: TierDesk, *data: bytes) -> UUID:
    """Asks for chunks to be hot; returns the restore."""
    request = pb.SetStorageClassRequest(
        repository=desk.shelf.repo.id,
        hashes=b"".join(map(digest, data)),
        storage_class=pb.STORAGE_CLASS_STANDARD,
    )
    answer = await desk.api.tiers.SetStorageClass(request, metadata=desk.shelf.who.auth)
    return UUID(answer.restore.id)


async def begin_restore(desk: TierDesk, *data: bytes) -> UUID:
    """Asks for chunks to be readable for a while; returns the restore."""
    request = pb.RestoreChunksRequest(
        repository=desk.shelf.repo.id, hashes=b"".join(map(digest, data))
    )
    answer = await desk.api.tiers.RestoreChunks(request, metadata=desk.shelf.who.auth)
    return UUID(answer.restore.id)


async def restore(
    databases: Databases, settings: Settings, restore_id: UUID, pack_bytes: int = 1 << 20
) -> int:
    """Does the work of a restore once; returns how many chunks can be read."""
    (database,) = databases.every()
    places = await open_places(database, settings)
    writer = PackWriter(
        databases, places["local"], Presence(databases, DAY), cell=0, reader_grace=timedelta(0)
    )
    return await RestoreWork(places, writer, pack_bytes, DAY).restore(database, restore_id)


async def in_order(
    api: Api, data: bytes, works: Sequence[Awaitable[int]]
) -> list[int | BaseException]:
    """Lets all wait for the lock of a chunk, and get it in this order; returns how they ended."""
    async with transaction(api) as connection:
        await connection.execute(
            "SELECT FROM chunks WHERE hash = $1 FOR NO KEY UPDATE", digest(data).hex()
        )
        tasks = []
        for work in works:
            tasks.append(asyncio.ensure_future(work))
            await blocked(api, len(tasks))
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("is_first", [True, False])
async def test_two_restores_of_one_chunk(
    api: Api, settings: Settings, databases: Databases, is_first: bool
) -> None:
    data = some()
    desks = await open_desks(api, databases, data, 2)
    assert await cool(databases, settings) == 1
    ids = [await begin_warming(desk, data) for desk in desks]
    order = ids if is_first else ids[::-1]
    works = [restore(databases, settings, each) for each in order]
    # The one that finds the chunk moved has it hot, too, and does not try again.
    assert await in_order(api, data, works) == [1, 1]
    assert await desks[0].places(data) == ["local"]
    for desk in desks:
        assert await desk.archived(data) == [False]
    await assert_counters(api.dsn)


@pytest.mark.parametrize("is_permanent", [True, False])
@pytest.mark.parametrize("is_policy_first", [True, False])
async def test_a_policy_moves_a_chunk_that_is_being_restored(
    api: Api, settings: Settings, databases: Databases, is_policy_first: bool, is_permanent: bool
) -> None:
    data = some()
    [desk] = await open_desks(api, databases, data, 1)
    assert await cool(databases, settings) == 1
    await desk.age(1000, data)
    # Asks the archive for what is to go to the deep one.
    assert await cool(databases, settings) == 0
    restore_id = await (begin_warming if is_permanent else begin_restore)(desk, data)
    works = [cool(databases, settings), restore(databases, settings, restore_id)]
    done = await in_order(api, data, works if is_policy_first else works[::-1])
    if is_policy_first:
        # The archive where it lies now was not asked.
        moved, error = done
        assert moved == 1
        assert isinstance(error, RetryLater)
        assert error.delay == timedelta(0)
        assert await restore(databases, settings, restore_id) == 1
    else:
        assert done == [1, 0]
    cold = "local.deep_archive" if is_policy_first else "local.glacier"
    assert await desk.places(data) == ["local" if is_permanent else cold]
    assert await desk.archived(data) == [False]
    await desk.shelf.get(data)
    await assert_counters(api.dsn)


@pytest.mark.parametrize("is_permanent", [True, False])
async def test_a_worker_that_does_not_know_the_archive_leaves_the_restore_to_others(
    api: Api, settings: Settings, databases: Databases, is_permanent: bool
) -> None:
    data = some()
    [desk] = await open_desks(api, databases, data, 1)
    (database,) = databases.every()
    # It has begun before anything lay there.
    places = await open_places(database, settings.model_copy(update={"tiers": {}}))
    assert await cool(databases, settings) == 1
    restore_id = await (begin_warming if is_permanent else begin_restore)(desk, data)
    writer = PackWriter(
        databases, places["local"], Presence(databases, DAY), cell=0, reader_grace=DAY
    )
    with pytest.raises(RetryLater, match=r"do not name local\.glacier"):
        await RestoreWork(places, writer, 1 << 20, DAY).restore(database, restore_id)
    assert await restore(databases, settings, restore_id) == 1
    assert await desk.archived(data) == [False]


async def test_what_is_copied_stays_hot_while_the_rest_is_copied(
    api: Api, settings: Settings, databases: Databases
) -> None:
    data = some(), some()
    [desk] = await open_desks(api, databases, data[0], 1)
    assert await cool(databases, settings) == 1
    await desk.shelf.put(data[1])
    await reference(desk.shelf, data[1])
    await desk.age(100, *data)
    assert await cool(databases, settings) == 1
    restore_id = await begin_warming(desk, *data)
    async with transaction(api) as connection:
        # The second pack cannot be left yet.
        query = "SELECT FROM packs WHERE key = (SELECT max(pack_key) FROM chunks) FOR UPDATE"
        await connection.execute(query)
        restoring = asyncio.create_task(restore(databases, settings, restore_id, pack_bytes=1))
        await blocked(api)
        assert sorted(await desk.places(*data)) == ["local", "local.glacier"]
        assert await cool(databases, settings) == 0
    assert await restoring == 2
    assert await desk.places(*data) == ["local", "local"]
