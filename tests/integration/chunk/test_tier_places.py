"""The places of tiers: directories that let wait, and buckets whose objects have a class."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.chunk.stores.blob_store import BlobFrozen, BlobMissing, BlobStore
from services.chunk.stores.files import list_names
from services.chunk.stores.local_archive import LocalArchive
from services.chunk.stores.tiers import open_places
from shared.db.pool import Databases
from shared.runtime.config import ConfigError, Settings
from tests.support.s3_proxy import S3Proxy
from tests.support.s3_server import S3Server

KEY = "0/" + "ab" * 16


async def write(store: BlobStore) -> None:
    """Makes an object."""
    writer = store.open_writer(KEY)
    await writer.write_parts([b"cold"])
    await writer.seal()


async def read(store: BlobStore) -> bytes:
    """Reads it."""
    return await store.read_ranges(KEY, [(0, 4)], lambda views: bytes(views[0]))


async def test_a_directory_lets_wait(tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    slow, quick = (
        LocalArchive(tmp_path, "local.glacier", "local", "glacier", delay)
        for delay in (hour, timedelta(0))
    )
    await slow.create("x")
    with pytest.raises(BlobMissing):
        await quick.begin_restore(KEY, hour)
    with pytest.raises(BlobMissing):
        await read(quick)
    await write(slow)
    with pytest.raises(BlobFrozen):
        await read(slow)
    await slow.begin_restore(KEY, hour)
    assert not await slow.is_restored(KEY)
    # Asked again, it takes no longer; and what was never asked for is not there sooner elsewhere.
    await quick.begin_restore(KEY, 2 * hour)
    assert not await quick.is_restored(KEY)
    note = tmp_path / "restored" / KEY.replace("/", "-")
    note.write_text(f"[{time.time() - 10}, {time.time() - 5}]")
    with pytest.raises(BlobFrozen):
        await read(slow)
    await quick.begin_restore(KEY, hour)
    assert await slow.is_restored(KEY)
    assert await read(slow) == b"cold"
    await slow.delete_object(KEY)
    assert list_names(tmp_path / "restored") == []


@pytest.fixture
async def proxy(s3_server: S3Server) -> AsyncIterator[S3Proxy]:
    proxy = S3Proxy()
    await proxy.start(s3_server.endpoint)
    yield proxy
    await proxy.stop()


async def test_objects_in_a_bucket_have_the_class(
    databases: Databases,
    settings: Settings,
    s3_server: S3Server,
    proxy: S3Proxy,
    tmp_path: Path,
) -> None:
    (database,) = databases.every()

    async def open_tier(storage_class: str, url: str, region: str = "local") -> BlobStore:
        tiers = {region: {storage_class: url}}
        places = await open_places(database, settings.model_copy(update={"tiers": tiers}))
        return places[f"local.{storage_class}"]

    with pytest.raises(ConfigError, match="GLACIER_IR"):
        await open_tier("deep_archive", s3_server.url("deep"))
    with pytest.raises(ConfigError, match="name its store in stores"):
        await open_tier("glacier", str(tmp_path), "far")
    for storage_class, name in (("infrequent", b"standard_ia"), ("glacier", b"glacier_ir")):
        url = s3_server.url(storage_class, endpoint=proxy.endpoint)
        store = await open_tier(storage_class, url)
        await write(store)
        assert await store.is_restored(KEY)
        assert await read(store) == b"cold"
        puts = [head.lower() for head in proxy.requests if re.match(b"PUT .*abab", head)]
        assert b"x-amz-storage-class: " + name + b"\r\n" in puts[-1]


async def test_no_two_regions_or_tiers_are_one_place(
    databases: Databases, settings: Settings, tmp_path: Path
) -> None:
    (database,) = databases.every()
    far, other = str(tmp_path / "far"), str(tmp_path / "other")
    near = str(settings.data_dir / "chunks" / "local")
    for stores, tiers, which in (
        ({"far": (near,)}, {}, "far and local"),
        ({"far": (other, near)}, {}, "far and local"),
        ({"far": (far,), "attic": (far,)}, {}, "attic and far"),
        ({"far": (far,)}, {"local": {"glacier": far}}, "local.glacier and far"),
        (
            {},
            {"local": {"glacier": other, "infrequent": other}},
            "local.infrequent and local.glacier",
        ),
    ):
        wrong = settings.model_copy(update={"stores": stores, "tiers": tiers})
        with pytest.raises(ConfigError, match=f"{which} are the same store"):
            await open_places(database, wrong)
    # Nothing was noted for them: with a place of its own, each is good.
    tiers = {"local": {"glacier": str(tmp_path / "ice")}}
    stores = {"far": (far,), "attic": (str(tmp_path / "attic"),)}
    places = await open_places(
        database, settings.model_copy(update={"stores": stores, "tiers": tiers})
    )
    assert list(places) == ["local", "far", "attic", "local.glacier"]
