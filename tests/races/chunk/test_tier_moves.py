"""Chunks on their way to an archive, and those who want them hot: an upload."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from services.chunk.catalog.presence import Presence
from services.chunk.collection.lifecycle import Lifecycle, find_classes
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.tiers import open_places
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, blocked, digest, some, transaction
from tests.support.collection import DAY, exhaust, reference
from tests.support.counters import assert_counters
from tests.support.tiers import TierDesk, with_tiers


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_tiers(settings, tmp_path / "tiers")


async def cool(databases: Databases, settings: Settings) -> int:
    """Applies the policies; returns how many chunks went to a colder place."""
    (database,) = databases.every()
    places = await open_places(database, settings)
    writer = PackWriter(
        databases, places["local"], Presence(databases, DAY), cell=0, reader_grace=timedelta(0)
    )
    lifecycle = Lifecycle(places, find_classes(places), writer, 1 << 20)
    return sum(each.moved.chunks for each in await exhaust(lifecycle.apply_policies(database)))


@pytest.mark.parametrize("is_moved_first", [True, False])
async def test_an_upload_of_a_chunk_that_goes_to_the_archive(
    api: Api, settings: Settings, databases: Databases, is_moved_first: bool
) -> None:
    data = some()
    desk = TierDesk(await Shelf.open(api), databases)
    other = TierDesk(await Shelf.open(api), databases)
    await desk.shelf.put(data)
    await reference(desk.shelf, data)
    await desk.age(100, data)
    # Both wait for the lock of the chunk, and get it in this order.
    async with transaction(api) as connection:
        await connection.execute(
            "SELECT FROM chunks WHERE hash = $1 FOR NO KEY UPDATE", digest(data).hex()
        )
        tasks: list[asyncio.Task[object]] = []
        for is_move in (is_moved_first, not is_moved_first):
            work = cool(databases, settings) if is_move else other.shelf.put(data)
            tasks.append(asyncio.create_task(work))
            await blocked(api, len(tasks))
    done = await asyncio.gather(*tasks)
    assert (1 if is_moved_first else 0) in done
    assert await desk.places(data) == ["local"]
    assert await other.archived(data) == [False]
    assert await desk.archived(data) == [True]
    await other.shelf.get(data)
    await assert_counters(api.dsn)
