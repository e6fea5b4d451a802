"""Compaction, scrub, inventory, and repair by uploading again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dits.common.v1.event_pb2 import ChunkPayload
from dits.common.v1.job_pb2 import (
    CheckInventoryPayload,
    CollectGarbagePayload,
    CompactPacksPayload,
    ScrubChunksPayload,
)
from google.protobuf import json_format
from grpc import StatusCode

from services.chunk.catalog.presence import Presence
from services.chunk.collection.inventory import Inventory
from services.chunk.collection.scrub import Scrub
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.local_store import LocalStore
from services.chunk.stores.opening import open_known_store
from shared.db.pool import Databases
from shared.errors import DomainError
from shared.runtime.config import ConfigError, Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, assert_stored, files, reason, some
from tests.support.collection import (
    DAY,
    end_claims,
    exhaust,
    hexes,
    maintain,
    reap,
    reference,
)
from tests.support.stores import open_store

EVERYTHING = ScrubChunksPayload(everything=True)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No graces: what can go goes at once."""
    return settings.model_copy(
        update={
            "chunk_grace_seconds": 0,
            "reader_grace_seconds": 0,
            "collection_limit_percent": 100,
        }
    )


def damage(path: Path, offset: int) -> None:
    """Flips a bit of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


async def test_compaction_goes_by_bytes(api: Api, settings: Settings, databases: Databases) -> None:
    shelf = await Shelf.open(api)
    small, large = [some(100) for _ in range(9)], some(5000)
    # Mostly alive by bytes, though one of ten chunks; and the other way round.
    other_small, other_large = [some(100) for _ in range(9)], some(5000)
    third, gone = some(300), some(4000)
    await shelf.put(*small, large)
    await shelf.put(*other_small, other_large)
    await shelf.put(third, gone)
    kept = [large, *other_small, third]
    assert await reference(shelf, *kept) == []
    await end_claims(api)
    await maintain(api, databases, CollectGarbagePayload())
    report = await maintain(api, databases, CompactPacksPayload())
    assert (report.compacted_pack_count, report.moved_chunk_count) == (2, 10)
    assert (report.moved_bytes, report.freed_pack_count) == (1200, 2)
    await assert_stored(api, settings)
    assert await reap(databases, settings) == 2
    assert sorted(path.stat().st_size for path in files(settings).values()) == [1200, 5900]
    await shelf.get(*kept)
    assert (await maintain(api, databases, CompactPacksPayload())).moved_chunk_count == 0


async def read_told(api: Api) -> list[tuple[Any, ...]]:
    """Which repositories were told of lost chunks, their owners, and how many and which chunks."""
    query = "SELECT repo_id::text, payload::text FROM events WHERE type = 'chunk.corrupt'"
    rows = await api.fetch(query)
    told = [(row[0], json_format.Parse(row[1], ChunkPayload())) for row in rows]
    return [(name, each.owner, each.chunk_count, *each.hashes) for name, each in told]


async def test_lost_chunks_are_found_and_filled_by_an_upload(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    bad, good, missing = some(), some(), some()
    await shelf.put(bad, good)
    (path,) = files(settings).values()
    await elsewhere.put(bad, missing)
    await reference(shelf, bad, good)
    damage(path, 0)
    (gone,) = (each for each in files(settings).values() if each != path)
    gone.unlink()

    # It is not the turn of these packs.
    assert (await maintain(api, databases, ScrubChunksPayload())).verified_chunk_count == 0
    report = await maintain(api, databases, EVERYTHING)
    assert (report.verified_chunk_count, report.lost_chunk_count) == (3, 2)
    assert (await maintain(api, databases, EVERYTHING)).lost_chunk_count == 0
    # Each repository is told once, pack by pack, of what it holds.
    held = [(shelf, bad), (elsewhere, bad), (elsewhere, missing)]
    assert sorted(await read_told(api)) == sorted(
        (holder.repo.id, holder.who.username, 1, *hexes([each])) for holder, each in held
    )
    assert await shelf.missing(bad, good) == [True, False]
    assert await elsewhere.missing(bad, missing) == [True, True]
    (answer,) = await shelf.download(bad)
    assert reason(answer) == "CHUNK_CORRUPT"

    # Whoever has the bytes heals them for all.
    assert (await elsewhere.put(bad)).stored_chunk_count == 1
    await shelf.get(bad, good)
    assert (await elsewhere.put(bad, missing)).stored_chunk_count == 1
    await elsewhere.get(bad, missing)
    assert await api.value("SELECT count(*) FROM chunks WHERE lost_at IS NOT NULL") == 0
    await reap(databases, settings)
    report = await maintain(api, databases, EVERYTHING)
    assert (report.verified_chunk_count, report.lost_chunk_count) == (3, 0)
    await assert_stored(api, settings)


async def test_a_chunk_that_is_intact_after_all(api: Api, databases: Databases) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    await api.fetch("UPDATE chunks SET lost_at = now()")
    assert await shelf.missing(data) == [True]
    await maintain(api, databases, EVERYTHING)
    assert await shelf.missing(data) == [False]


async def test_the_inventory_looks_both_ways(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    kept, cut, gone = some(), some(), some()
    store = open_store(settings)
    paths = []
    for data in (kept, cut, gone):
        await shelf.put(data)
        (path,) = (each for each in files(settings).values() if each not in paths)
        paths.append(path)
    for name, is_sealed in (("aa", True), ("bb", False), ("cc", True)):
        writer = store.open_writer("0/" + name * 16)
        await writer.write_parts([b"nobody's"])
        if is_sealed:
            await writer.seal()
    other_cell = store.open_writer("7/" + "dd" * 16)
    await other_cell.write_parts([b"another cell's"])
    await other_cell.seal()
    await api.fetch(
        "INSERT INTO object_deletions (bucket, key, not_before) VALUES ($1, $2, now() + interval '1 day')",
        store.bucket,
        "0/" + "cc" * 16,
    )
    paths[1].write_bytes(cut[:999])
    paths[2].unlink()
    report = await maintain(api, databases, CheckInventoryPayload())
    assert (report.listed_object_count, report.unknown_object_count) == (5, 2)
    assert (report.missing_object_count, report.lost_chunk_count) == (2, 2)
    lost = await api.fetch("SELECT hash FROM chunks WHERE lost_at IS NOT NULL ORDER BY hash")
    assert [row["hash"] for row in lost] == sorted(hexes([cut, gone]))
    assert await reap(databases, settings) == 2
    assert "7/" + "dd" * 16 in files(settings)
    await shelf.get(kept)


async def test_a_pack_that_goes_while_the_store_is_looked_at_is_not_missing(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    await shelf.put(some())
    (database,) = databases.every()

    class Collected(LocalStore):
        """A store whose packs are dropped, and reaped, when it is asked for the size of one."""

        async def measure_object(self, key: str) -> int | None:
            await end_claims(api)
            await maintain(api, databases, CollectGarbagePayload())
            assert await reap(databases, settings) == 1
            return await super().measure_object(key)

    store = Collected(settings.data_dir / "chunks" / "local", "local", "local")
    assert await exhaust(Inventory(store, 0, DAY).find_incomplete_packs(database)) == [[]]


async def test_a_store_that_is_not_mounted_has_lost_nothing(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    (database,) = databases.every()
    store = open_store(settings)
    packs = PackWriter(databases, store, Presence(databases, DAY), cell=0, reader_grace=DAY)
    root = settings.data_dir / "chunks" / settings.region
    mounted = root.rename(root.with_name("mounted"))
    root.mkdir()
    for work in (
        Scrub({store.bucket: store}, packs).verify_due_packs(database, timedelta(0)),
        Inventory(store, 0, DAY).queue_unknown_objects(database),
        Inventory(store, 0, DAY).find_incomplete_packs(database),
    ):
        with pytest.raises(DomainError):
            await exhaust(work)
    with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
        await shelf.download(data)
    with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
        await shelf.put(some())
    # A server or an fsck that begins now must not take the empty directory for a new store.
    with pytest.raises(ConfigError, match="holds no store: mount it"):
        await open_known_store(database, settings)
    root.rmdir()
    mounted.rename(root)
    await open_known_store(database, settings)
    await shelf.get(data)
    assert await shelf.missing(data) == [False]
    await reap(databases, settings)
    await assert_stored(api, settings)
