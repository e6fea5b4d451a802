"""A store that is another one, or empty, is not the store: nothing is called lost, and no server starts."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from grpc import StatusCode

from services.admin.fsck import check_everything
from services.chunk.catalog.presence import Presence
from services.chunk.collection.inventory import Inventory
from services.chunk.collection.scrub import Scrub
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.opening import open_known_store
from shared.db.pool import Database, Databases
from shared.errors import DomainError
from shared.runtime.config import ConfigError, Settings
from tests.support.api import Api, refused, running_suite
from tests.support.chunks import Shelf, assert_stored, some
from tests.support.collection import DAY, exhaust
from tests.support.s3_server import S3Server
from tests.support.scratch_databases import open_databases
from tests.support.stores import open_store


def root_of(settings: Settings) -> Path:
    return settings.data_dir / "chunks" / settings.region


async def make_other(folder: Path, settings: Settings) -> Path:
    """Makes a store of another database, with an object in it."""
    other = settings.model_copy(update={"data_dir": folder})
    store = open_store(other)
    await store.create("5f2f4f5e-0000-4000-8000-000000000001")
    writer = store.open_writer("0/" + "ee" * 16)
    await writer.write_parts([b"of another database"])
    await writer.seal()
    return root_of(other)


def format_disk(root: Path) -> None:
    """Makes a directory as it is on a new disk; somebody has made the folder for it, too."""
    (root / "unsealed").mkdir(parents=True)


async def assert_jobs_refuse(databases: Databases, store: BlobStore) -> None:
    """Has scrub and inventory look into a store that is not the one."""
    (database,) = databases.every()
    packs = PackWriter(databases, store, Presence(databases, DAY), cell=0, reader_grace=DAY)
    inventory = Inventory(store, 0, DAY)
    for work in (
        Scrub({store.bucket: store}, packs).verify_due_packs(database, timedelta(0)),
        inventory.count_unknown_objects(database),
        inventory.queue_unknown_objects(database),
        inventory.find_incomplete_packs(database),
    ):
        with pytest.raises(DomainError):
            await exhaust(work)


@pytest.mark.parametrize("case", ["swapped", "formatted"])
async def test_another_store_has_lost_nothing(
    api: Api,
    settings: Settings,
    databases: Databases,
    database: Database,
    tmp_path: Path,
    case: str,
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    store = await open_known_store(database, settings)
    other = await make_other(tmp_path / "other", settings)
    root = root_of(settings)
    kept = root.rename(tmp_path / "kept")
    if case == "swapped":
        other.rename(root)
    else:
        format_disk(root)
    await assert_jobs_refuse(databases, store)
    # The server that runs says that it cannot: it neither answers CHUNK_CORRUPT nor acknowledges.
    with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
        await shelf.download(data)
    with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
        await shelf.put(some())
    # One that begins, and fsck, stop.
    what = "holds the store" if case == "swapped" else "holds no store"
    with pytest.raises(ConfigError, match=what):
        await open_known_store(database, settings)
    with pytest.raises(ConfigError, match=what):
        await check_everything(database, settings, repair=True)
    assert await api.value("SELECT count(*) FROM chunks WHERE lost_at IS NOT NULL") == 0
    shutil.rmtree(root)
    kept.rename(root)
    assert (await open_known_store(database, settings)).expected_id == store.expected_id
    await shelf.get(data)
    assert await shelf.missing(data) == [False]
    await assert_stored(api, settings)


async def test_the_first_store_is_the_database_s(database: Database, settings: Settings) -> None:
    stores = await asyncio.gather(*(open_known_store(database, settings) for _ in range(4)))
    assert len({store.expected_id for store in stores}) == 1
    rows = await database.fetch("SELECT id::text, location FROM stores")
    assert [tuple(row) for row in rows] == [(stores[0].expected_id, str(root_of(settings)))]


async def test_of_two_first_stores_one_is_taken(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    other = settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})
    opening = (open_known_store(database, each) for each in (settings, other))
    results = await asyncio.gather(*opening, return_exceptions=True)
    assert sorted(isinstance(result, ConfigError) for result in results) == [False, True]


async def test_cells_share_a_store(database: Database, second_dsn: str, settings: Settings) -> None:
    first = await open_known_store(database, settings)
    async with open_databases(second_dsn) as others:
        (other,) = others.every()
        second = await open_known_store(other, settings.model_copy(update={"cell": 1}))
    assert first.expected_id == second.expected_id


@pytest.mark.parametrize("text", ["", "no id"])
async def test_a_damaged_id(database: Database, settings: Settings, text: str) -> None:
    root = root_of(settings)
    format_disk(root)
    (root / "dits-store").write_text(text)
    with pytest.raises(ConfigError, match="is damaged"):
        await open_known_store(database, settings)
    assert await database.fetch("SELECT FROM stores") == []


async def s3_stores(
    database: Database, settings: Settings, url: str, **changes: object
) -> BlobStore:
    changed = settings.model_copy(update={"store": url, "store_seconds": 2.0, **changes})
    return await open_known_store(database, changed)


async def test_buckets_keys_and_servers_that_are_wrong(
    database: Database, settings: Settings, s3_server: S3Server, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("[default]\naws_access_key_id = dits\naws_secret_access_key = wrong\n")
    for url in (
        s3_server.url("identity", bucket="no-such-bucket"),
        s3_server.url("identity", credentials=str(wrong)),
        s3_server.url("identity", endpoint="http://127.0.0.1:1"),
    ):
        with pytest.raises(ConfigError, match="cannot be used"):
            await s3_stores(database, settings, url)
    with pytest.raises(ConfigError, match="is no file with credentials"):
        await s3_stores(database, settings, s3_server.url("identity", credentials="/nowhere"))
    assert await database.fetch("SELECT FROM stores") == []


async def test_no_server_starts_whose_uploads_cannot_pass_to_the_bucket(
    dsn: str, settings: Settings, s3_server: S3Server, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    changed = settings.model_copy(
        update={"store": s3_server.url("spool"), "data_dir": tmp_path / "file"}
    )
    with pytest.raises(ConfigError, match=r"file/spool to the bucket, .*: Not a directory"):
        async with running_suite(dsn, changed):
            pass


async def test_an_emptied_bucket_is_not_the_store(
    database: Database, settings: Settings, s3_server: S3Server
) -> None:
    url = s3_server.url("emptied")
    store = await s3_stores(database, settings, url)
    assert (await s3_stores(database, settings, url)).expected_id == store.expected_id
    await s3_server.client("emptied").delete_async("dits-store")
    with pytest.raises(ConfigError, match="holds no store"):
        await s3_stores(database, settings, url)
    with pytest.raises(DomainError):
        await store.measure_object("0/" + "ee" * 16)
