"""The open-pack sweeper and the object reaper."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from services.chunk.background.janitor import Janitor
from services.chunk.stores.local_store import LocalStore
from shared.db.pool import Database
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, assert_stored, files, some, unsealed


@pytest.fixture
def store(settings: Settings) -> LocalStore:
    """The store of the running service, a second time."""
    root = settings.data_dir / "chunks" / settings.region
    return LocalStore(root, settings.region, settings.region)


@pytest.fixture
async def janitor(dsn: str, store: LocalStore) -> AsyncIterator[Janitor]:
    database = await Database.connect(dsn, service="chunk", size=2)
    yield Janitor(database, {store.bucket: store})
    await database.close()


async def open_pack(api: Api, store: LocalStore, key: str, hours: int) -> None:
    """What an upload leaves behind that was killed so many hours ago."""
    await api.fetch(
        """INSERT INTO packs (key, bucket, region, created_at)
           VALUES ($1, $2, $3, clock_timestamp() - make_interval(hours => $4))""",
        key,
        store.bucket,
        store.region,
        hours,
    )
    await store.writer(key).write([b"half a pack"])


async def test_what_killed_uploads_leave_goes_after_a_day(
    api: Api, settings: Settings, store: LocalStore, janitor: Janitor
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    await api.fetch("UPDATE packs SET created_at = now() - interval '9 days'")
    await open_pack(api, store, "aa" * 16, 23)
    await open_pack(api, store, "bb" * 16, 25)
    assert await janitor.sweep() == 1
    assert await janitor.sweep() == 0
    assert await api.fetch("SELECT key FROM object_deletions") == [("bb" * 16,)]
    assert await janitor.reap() == 1
    assert await janitor.reap() == 0
    assert [path.name for path in unsealed(settings)] == ["aa" * 16]
    await shelf.get(data)
    await api.fetch("UPDATE packs SET created_at = now() - interval '9 days'")
    assert (await janitor.sweep(), await janitor.reap()) == (1, 1)
    await assert_stored(api, settings)


async def test_objects_go_when_they_are_due(
    api: Api, settings: Settings, store: LocalStore, janitor: Janitor
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    data = some()
    await shelf.put(data)
    (needed,) = files(settings)
    await elsewhere.put(data)
    assert len(files(settings)) == 2
    await api.fetch("UPDATE object_deletions SET not_before = now() + interval '1 hour'")
    assert await janitor.reap() == 0
    await api.fetch("UPDATE object_deletions SET not_before = now(), bucket = 'not ours'")
    assert await janitor.reap() == 0
    await api.fetch("UPDATE object_deletions SET bucket = $1", store.bucket)
    assert await janitor.reap() == 1
    assert list(files(settings)) == [needed]
    assert await api.value("SELECT count(*) FROM object_deletions") == 0
    await elsewhere.get(data)


async def test_an_object_that_is_gone_already_is_success(
    api: Api, store: LocalStore, janitor: Janitor
) -> None:
    await api.fetch(
        """INSERT INTO object_deletions (bucket, key, not_before)
           SELECT $1, repeat('c', 32), now() FROM generate_series(1, 2)""",
        store.bucket,
    )
    assert await janitor.reap() == 2
    assert await api.value("SELECT count(*) FROM object_deletions") == 0


async def test_an_object_that_a_pack_names_is_never_deleted(
    api: Api, settings: Settings, store: LocalStore, janitor: Janitor
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    await api.fetch(
        "INSERT INTO object_deletions (bucket, key, not_before) SELECT bucket, key, now() FROM packs"
    )
    with capture_logs() as logs:
        assert await janitor.reap() == 0
    assert [entry["log_level"] for entry in logs] == ["error"]
    await shelf.get(data)
    assert await api.value("SELECT count(*) FROM object_deletions") == 1
    assert len(files(settings)) == 1
