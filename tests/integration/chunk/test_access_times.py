"""When chunks were last read."""

from __future__ import annotations

from uuid import UUID

from services.chunk.background.access_times import AccessTimeStore
from services.chunk.catalog.access_times import AccessTimes
from tests.support.api import Api
from tests.support.chunks import Shelf, digest, some
from tests.support.scratch_databases import open_databases


async def test_reading_is_noted_once_a_day(api: Api) -> None:
    shelf = await Shelf.open(api)
    repository_id = UUID(shelf.repo.id)
    fresh, old, stale = some(), some(), some()
    await shelf.put(fresh, old, stale)
    set_created = "UPDATE chunks SET created_at = now() - interval '2 days' WHERE hash = ANY ($1)"
    await api.fetch(set_created, [digest(old).hex(), digest(stale).hex()])
    # Each repository has times of its own: what others read keeps nothing hot for this one.
    elsewhere = await Shelf.open(api)
    await elsewhere.put(old)
    await api.fetch("UPDATE chunk_refs SET last_seen_at = now() - interval '2 days'")
    seen = """SELECT count(*) FROM chunk_refs
              WHERE repo_id = $1::uuid AND last_seen_at > now() - interval '1 day'"""
    async with open_databases(api.dsn) as databases:
        times = AccessTimes()
        store = AccessTimeStore(times, databases)
        times.note_chunks(repository_id, [digest(fresh), digest(old)])
        await store.store_times()
        rows = await api.fetch("SELECT hash FROM chunks WHERE last_accessed_at IS NOT NULL")
        assert [row["hash"] for row in rows] == [digest(old).hex()]
        assert await api.value(seen, shelf.repo.id) == 2
        assert await api.value(seen, elsewhere.repo.id) == 0
        first = await api.value("SELECT max(last_accessed_at) FROM chunks")
        times.note_chunks(repository_id, [digest(old)])
        await store.store_times()
        assert await api.value("SELECT max(last_accessed_at) FROM chunks") == first
