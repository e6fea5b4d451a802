"""The filters of the repositories that are asked most: they change no answer but its speed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest

from services.chunk.catalog import presence_filters
from services.chunk.catalog.presence import Presence
from services.chunk.catalog.presence_filter import PresenceFilter
from services.chunk.catalog.presence_filters import PresenceFilters
from services.chunk.packs.content import Chunk
from services.chunk.packs.pack_writer import PackWriter
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, digest, some
from tests.support.collection import reference
from tests.support.scratch_databases import open_databases
from tests.support.stores import open_store

DAY = timedelta(days=1)


@pytest.fixture
async def databases(api: Api) -> AsyncIterator[Databases]:
    """The database, as another server sees it."""
    async with open_databases(api.dsn) as databases:
        yield databases


class Server:
    """What a chunk server knows of presence, beside those of the suite."""

    def __init__(self, databases: Databases, limit_bytes: int) -> None:
        self.filters = PresenceFilters(DAY, limit_bytes, ThreadPoolExecutor(1))
        self.presence = Presence(databases, DAY, self.filters)

    def find(self, shelf: Shelf) -> PresenceFilter | None:
        """The filter of a repository."""
        return self.filters.find(UUID(shelf.repo.id), erasures=0)

    async def missing(self, shelf: Shelf, *data: bytes) -> list[bool]:
        """Of each chunk, whether the repository lacks it; waits for the filter that is being built."""
        digests = [digest(each) for each in data]
        bitmap, count = await self.presence.find_missing_chunks(UUID(shelf.repo.id), digests)
        bits = [bool(bitmap[i >> 3] >> (i & 7) & 1) for i in range(len(data))]
        assert sum(bits) == count
        if self.filters.building is not None:
            await self.filters.building
        return bits


@pytest.fixture
def server(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Server:
    """It thinks every repository hot that is asked about three chunks."""
    monkeypatch.setattr(presence_filters, "HOT_DIGESTS", 3)
    monkeypatch.setattr(presence_filters, "_PAGE", 2)
    return Server(databases, 1 << 20)


async def forget(shelf: Shelf, data: bytes) -> None:
    """Takes a chunk from the repository, behind the back of all filters."""
    await shelf.api.fetch(
        """WITH gone AS (DELETE FROM chunk_refs WHERE repo_id = $1::uuid AND chunk_hash = $2
                         RETURNING chunk_hash)
           UPDATE chunks SET ref_count = 0, delete_after = now() FROM gone WHERE hash = chunk_hash""",
        shelf.repo.id,
        digest(data).hex(),
    )


async def test_a_hot_repository_is_answered_from_memory(api: Api, server: Server) -> None:
    shelf = await Shelf.open(api)
    data, absent = [some() for _ in range(5)], some()
    assert await server.missing(shelf, *data) == [True] * 5
    assert server.find(shelf) is None
    await shelf.put(*data)
    for _ in range(3):
        assert await server.missing(shelf, *data, absent) == [False] * 5 + [True]
        assert server.find(shelf) is not None
    # That it comes from memory shows when the row is gone: the answer is a hint.
    await forget(shelf, data[0])
    assert await server.missing(shelf, *data) == [False] * 5


async def test_what_others_add_is_found(api: Api, server: Server) -> None:
    shelf = await Shelf.open(api)
    old, new = some(), some()
    await shelf.put(old)
    assert await server.missing(shelf, old, new, new) == [False, True, True]
    found = server.find(shelf)
    assert found is not None
    await shelf.put(new)
    assert await server.missing(shelf, old, new) == [False, False]
    # Asked often enough, it is built again.
    assert await server.missing(shelf, new, new) == [False, False]
    again = server.find(shelf)
    assert again is not None
    assert again.version == found.version + 1


async def test_what_the_server_adds_itself_is_known(
    api: Api, settings: Settings, databases: Databases, server: Server
) -> None:
    shelf = await Shelf.open(api)
    old, new = some(), some()
    await shelf.put(old)
    await server.missing(shelf, old, old, old)
    writer = PackWriter(databases, open_store(settings), server.presence, cell=0, reader_grace=DAY)
    pack = writer.begin_pack(UUID(shelf.repo.id))
    await writer.append_chunks(pack, [Chunk(digest(new), len(new), "none", new)])
    await writer.finalize_pack(pack, UUID(shelf.repo.id))
    found = server.find(shelf)
    assert found is not None
    additions = "SELECT additions FROM repository_storage WHERE repo_id = $1::uuid"
    assert found.version == await api.value(additions, shelf.repo.id)
    await forget(shelf, new)
    assert await server.missing(shelf, new) == [False]


async def test_claims_that_grow_old_are_not_vouched_for(api: Api, server: Server) -> None:
    shelf = await Shelf.open(api)
    old, kept, absent = some(), some(), some()
    await shelf.put(old, kept)
    await reference(shelf, kept)
    await api.fetch(
        "UPDATE chunk_refs SET claimed_at = now() - interval '7 hours' WHERE ref_count = 0"
    )
    assert await server.missing(shelf, old, kept, absent) == [False, False, True]
    found = server.find(shelf)
    assert found is not None
    assert not found.is_complete
    assert await server.missing(shelf, old, kept, absent) == [False, False, True]
    # What is found is kept for half a lease: an older claim is renewed.
    await api.fetch(
        "UPDATE chunk_refs SET claimed_at = now() - interval '13 hours' WHERE ref_count = 0"
    )
    assert await server.missing(shelf, old, kept) == [False, False]
    age = "SELECT now() - claimed_at FROM chunk_refs WHERE ref_count = 0"
    assert await api.value(age) < timedelta(minutes=10)


async def test_a_filter_ends_before_a_claim_can(api: Api, server: Server) -> None:
    shelf = await Shelf.open(api)
    data, other = some(), some()
    await shelf.put(data, other)
    await server.missing(shelf, data, data, data)
    found = server.find(shelf)
    assert found is not None
    await forget(shelf, data)
    assert await server.missing(shelf, data) == [False]
    found.valid_until = 0
    assert await server.missing(shelf, data) == [True]


async def test_what_is_obliterated_is_missing_at_once(api: Api, server: Server) -> None:
    shelf = await Shelf.open(api)
    good, bad = some(), some()
    await shelf.put(good, bad)
    await reference(shelf, good, bad)
    assert await server.missing(shelf, good, bad, bad) == [False] * 3
    erase = "SELECT erase_chunks($1::uuid, ARRAY[$2])"
    await api.value(erase, shelf.repo.id, digest(bad).hex())
    assert await server.missing(shelf, good, bad) == [False, True]


async def test_a_lost_chunk_is_missing_all_the_same(api: Api, server: Server) -> None:
    shelf = await Shelf.open(api)
    good, lost = some(), some()
    await shelf.put(good, lost)
    assert await server.missing(shelf, good, lost, lost) == [False] * 3
    await api.fetch("UPDATE chunks SET lost_at = now() WHERE hash = $1", digest(lost).hex())
    assert await server.missing(shelf, good, lost) == [False, True]
    await shelf.put(lost)
    assert await server.missing(shelf, good, lost) == [False, False]


async def test_memory_is_bounded(
    api: Api, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_filters, "HOT_DIGESTS", 3)
    server = Server(databases, limit_bytes=8 * 7)
    shelves = [await Shelf.open(api) for _ in range(3)]
    data = [some() for _ in range(8)]
    for shelf, count in zip(shelves, (3, 3, 8), strict=True):
        await shelf.put(*data[:count])
        expected = [number >= count for number in range(8)]
        assert await server.missing(shelf, *data) == expected
        assert await server.missing(shelf, *data) == expected
    kept = [server.find(shelf) is not None for shelf in shelves]
    # There is room for two small ones, and never for the large one.
    assert kept == [True, True, False]
    fourth = await Shelf.open(api)
    await fourth.put(*data[:4])
    assert await server.missing(fourth, *data) == [False] * 4 + [True] * 4
    shelves.append(fourth)
    kept = [server.find(shelf) is not None for shelf in shelves]
    assert kept == [False, True, False, True]


async def test_without_memory_there_are_none(
    api: Api, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_filters, "HOT_DIGESTS", 1)
    server = Server(databases, limit_bytes=0)
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    assert await server.missing(shelf, data) == [False]
    assert server.find(shelf) is None
