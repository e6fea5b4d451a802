"""The sweep over open packs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.background.open_pack_sweep import OpenPackSweep
from services.chunk.stores.blob_store import BlobStore
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, assert_stored, some, unsealed
from tests.support.stores import open_store


@pytest.fixture
def store(settings: Settings) -> BlobStore:
    """The store of the running service, a second time."""
    return open_store(settings)


async def open_pack(api: Api, store: BlobStore, key: str, hours: int) -> None:
    """What an upload leaves behind that was killed so many hours ago."""
    await api.fetch(
        """INSERT INTO packs (key, bucket, region, created_at)
           VALUES ($1, $2, $3, clock_timestamp() - make_interval(hours => $4))""",
        key,
        store.bucket,
        store.region,
        hours,
    )
    await store.open_writer(key).write_parts([b"half a pack"])


async def test_what_killed_uploads_leave_goes_after_a_day(
    api: Api, settings: Settings, store: BlobStore, databases: Databases
) -> None:
    sweep = OpenPackSweep(databases, timedelta(days=1))
    reaper = ObjectReaper(databases, {store.bucket: store}, 0)
    young, old = "0/" + "aa" * 16, "0/" + "bb" * 16
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    await api.fetch("UPDATE packs SET created_at = now() - interval '9 days'")
    await open_pack(api, store, young, 23)
    await open_pack(api, store, old, 25)
    assert await sweep.sweep_packs() == 1
    assert await sweep.sweep_packs() == 0
    assert await api.fetch("SELECT key FROM object_deletions") == [(old,)]
    assert await reaper.reap_objects() == 1
    assert await reaper.reap_objects() == 0
    assert list(unsealed(settings)) == [young]
    await shelf.get(data)
    await api.fetch("UPDATE packs SET created_at = now() - interval '9 days'")
    assert (await sweep.sweep_packs(), await reaper.reap_objects()) == (1, 1)
    await assert_stored(api, settings)
