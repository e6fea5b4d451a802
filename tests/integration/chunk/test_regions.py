"""Several regions over one database: each server stores into its own, and reads from all."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from dits.common.v1.job_pb2 import CollectGarbagePayload, CompactPacksPayload
from grpc import StatusCode

from services.admin.fsck import check_everything
from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.catalog.presence import Presence
from services.chunk.collection.scrub import Scrub
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.opening import open_known_stores
from shared.db.pool import Databases
from shared.errors import DomainError
from shared.runtime.config import ConfigError, Settings
from tests.support.api import Api, refused, running_suite
from tests.support.chunks import Shelf, digest, some
from tests.support.collection import DAY, do_maintenance, end_claims, hexes, reference
from tests.support.s3_server import S3Server


@pytest.fixture
def far_root(tmp_path: Path) -> Path:
    return tmp_path / "far"


@pytest.fixture
def settings(settings: Settings, far_root: Path) -> Settings:
    """This server's region is local; there is another one."""
    return settings.model_copy(
        update={
            "stores": {"far": (str(far_root),)},
            "chunk_grace_seconds": 0,
            "reader_grace_seconds": 0,
            "collection_limit_percent": 100,
        }
    )


@pytest.fixture
def far_settings(settings: Settings, far_root: Path) -> Settings:
    """Those of a server in the other region."""
    near = str(settings.data_dir / "chunks" / "local")
    return settings.model_copy(
        update={"region": "far", "stores": {"far": (str(far_root),), "local": (near,)}}
    )


def hide(root: Path) -> Path:
    """Takes a directory away; returns where it is."""
    return root.rename(root.with_name("away"))


def show(root: Path, away: Path) -> None:
    """Brings a directory back."""
    away.rename(root)


async def buckets(api: Api) -> dict[str, int]:
    """How many packs there are in each bucket."""
    rows = await api.fetch("SELECT bucket, count(*) FROM packs GROUP BY 1 ORDER BY 1")
    return {row["bucket"]: row["count"] for row in rows}


async def test_each_server_stores_into_its_region_and_reads_from_all(
    api: Api, settings: Settings, far_settings: Settings, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    near, far, dead = some(100), some(100), some(5000)
    await shelf.put(near)
    async with running_suite(api.dsn, far_settings) as other:
        there = Shelf(other, shelf.who, shelf.repo)
        await there.put(far, dead)
        await there.get(near, far)
    await shelf.get(near, far)
    assert await buckets(api) == {"far": 1, "local": 1}
    # The jobs, wherever they run, look after all regions, and leave chunks in theirs.
    await reference(shelf, near, far)
    await end_claims(api)
    await do_maintenance(api, databases, CollectGarbagePayload())
    await do_maintenance(api, databases, CompactPacksPayload())
    assert await buckets(api) == {"far": 1, "local": 1}
    assert await api.value("SELECT sum(bytes) FROM packs") == 200
    (database,) = databases.every()
    stores = await open_known_stores(database, settings)
    assert list(stores) == ["local", "far"]
    assert await ObjectReaper(databases, stores, 0).reap_objects() == 1
    faults = (await check_everything(database, settings, repair=False)).faults
    assert [fault for fault in faults if "object" in fault] == []
    await shelf.get(near, far)


async def test_a_region_that_is_away_stops_nothing_in_the_others(
    api: Api, settings: Settings, far_settings: Settings, databases: Databases, far_root: Path
) -> None:
    shelf = await Shelf.open(api)
    near, far = some(), some()
    async with running_suite(api.dsn, far_settings) as other:
        await Shelf(other, shelf.who, shelf.repo).put(far)
    await shelf.put(near)
    away = hide(far_root)
    with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
        await shelf.download(far)
    await shelf.get(near)
    await shelf.put(some())
    (database,) = databases.every()
    known = await open_known_stores(database, settings)
    packs = PackWriter(
        databases, known["local"], Presence(databases, DAY), cell=0, reader_grace=DAY
    )
    found = []

    async def scrub() -> None:
        async for each in Scrub(known, packs).verify_due_packs(database, timedelta(0)):
            found.append(each)  # noqa: PERF401  what came before the error counts

    with pytest.raises(DomainError):
        await scrub()
    assert [(each.chunks, each.lost) for each in found] == [(1, 0), (1, 0)]
    await api.fetch(
        """INSERT INTO object_deletions (bucket, key, not_before)
           VALUES ('far', '0/aa', now()), ('local', '0/aa', now())"""
    )
    with pytest.raises(DomainError):
        await ObjectReaper(databases, dict(reversed(known.items())), 0).reap_objects()
    assert await api.value("SELECT string_agg(bucket, ',') FROM object_deletions") == "far"
    away.rename(far_root)
    await shelf.get(near, far)


async def test_a_server_begins_without_a_far_server(
    databases: Databases, settings: Settings, s3_server: S3Server
) -> None:
    (database,) = databases.every()
    url = s3_server.url("regions")
    gone = s3_server.url("regions", endpoint="http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="cannot be used"):
        await open_known_stores(database, settings.model_copy(update={"stores": {"far": (gone,)}}))
    stores = await open_known_stores(
        database, settings.model_copy(update={"stores": {"far": (url,)}})
    )
    without = await open_known_stores(
        database, settings.model_copy(update={"stores": {"far": (gone,)}})
    )
    assert without["far"].expected_id == stores["far"].expected_id


async def test_a_region_with_packs_must_be_named(
    api: Api, settings: Settings, far_settings: Settings, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    (database,) = databases.every()
    alone = settings.model_copy(update={"stores": {}})
    await open_known_stores(database, alone)
    async with running_suite(api.dsn, far_settings) as other:
        await Shelf(other, shelf.who, shelf.repo).put(some())
    with pytest.raises(ConfigError, match="has packs in the region far"):
        await open_known_stores(database, alone)


async def test_a_far_region_moves(
    api: Api,
    settings: Settings,
    far_settings: Settings,
    databases: Databases,
    far_root: Path,
    tmp_path: Path,
) -> None:
    shelf = await Shelf.open(api)
    old, new = some(), some()
    async with running_suite(api.dsn, far_settings) as other:
        await Shelf(other, shelf.who, shelf.repo).put(old)
    new_root = str(tmp_path / "new")
    moving = {"store": new_root, "second_store": str(far_root)}
    async with running_suite(api.dsn, far_settings.model_copy(update=moving)) as other:
        await Shelf(other, shelf.who, shelf.repo).put(new)
    (database,) = databases.every()
    with pytest.raises(ConfigError, match="Nothing is lost"):
        await open_known_stores(database, settings)
    both = settings.model_copy(update={"stores": {"far": (new_root, str(far_root))}})
    async with running_suite(api.dsn, both) as near:
        await Shelf(near, shelf.who, shelf.repo).get(old, new)


async def test_garbage_is_collected_while_a_region_is_away(
    api: Api, far_settings: Settings, databases: Databases, far_root: Path
) -> None:
    shelf = await Shelf.open(api)
    near, far = some(), some()
    async with running_suite(api.dsn, far_settings) as other:
        await Shelf(other, shelf.who, shelf.repo).put(far)
    await shelf.put(near)
    await reference(shelf, far)
    await end_claims(api)
    # The list of the chunks of a file that is gone lies in the region that is away.
    await api.fetch(
        "INSERT INTO released_lists (repo_id, recipe_hashes) VALUES ($1::uuid, $2)",
        shelf.repo.id,
        digest(far),
    )
    away = hide(far_root)
    record = await do_maintenance(api, databases, CollectGarbagePayload())
    assert record["outcome"] == "completed"
    assert await api.value("SELECT array_agg(hash) FROM chunks") == hexes([far])
    assert await api.value("SELECT count(*) FROM released_lists") == 1
    show(far_root, away)
    await shelf.get(far)
