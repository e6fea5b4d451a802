"""Regions for tests: policies of repositories, and what lies where."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from dits.repo.v1 import repository_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from services.admin.fsck import check_everything
from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.catalog.presence import Presence
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.placement.replication import Replication
from services.chunk.stores.opening import open_known_stores
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, digest
from tests.support.collection import exhaust
from tests.support.counters import assert_counters
from tests.support.waiting import PATIENCE_SECONDS

NOW = timedelta(0)
ALL = ("attic", "far", "local")


def with_regions(settings: Settings, home: Path, **changes: Any) -> Settings:
    """Settings of a server in the region local, beside far and attic; what can go goes at once."""
    stores = {"far": (str(home / "far"),), "attic": (str(home / "attic"),)}
    quick = {
        "chunk_grace_seconds": 0,
        "reader_grace_seconds": 0,
        "collection_limit_percent": 100,
    }
    return settings.model_copy(update={"stores": stores, **quick, **changes})


async def set_policy(
    shelf: Shelf, *regions: str, min_regions: int = 0, seconds: int = 0
) -> pb.RepositorySettings:
    """Says in which regions a repository wants its chunks."""
    request = pb.UpdateRepositorySettingsRequest(
        repository=shelf.repo.id,
        settings=pb.RepositorySettings(
            regions=regions, min_regions=min_regions, replication_seconds=seconds
        ),
        update_mask=FieldMask(paths=["regions", "min_regions", "replication_seconds"]),
    )
    answer = await shelf.api.repositories.UpdateRepositorySettings(request, metadata=shelf.who.auth)
    return answer.settings


async def settle(api: Api) -> None:
    """Waits until no copy is queued, and no job that places chunks is at work, due or waits for one."""
    waiting = """SELECT (SELECT count(*) FROM due_copies)
                      + (SELECT count(*) FROM jobs
                         WHERE job_type IN ('check_placement', 'replicate_chunks')
                           AND status IN ('pending', 'running')
                           AND (job_type = 'check_placement' OR scheduled_at <= now()))
                 FROM pg_sleep(0.05)"""
    await wait_while(api, waiting)


async def wait_while(api: Api, query: str) -> None:
    """Waits as long as a query says something else than 0, through one connection."""
    connection = await asyncpg.connect(api.dsn)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await connection.fetchval(query):
                pass
    finally:
        await connection.close()


async def places(api: Api, data: bytes) -> list[str]:
    """The regions in which a chunk lies, its home first."""
    name = digest(data).hex()
    home = await api.value("SELECT storage_bucket FROM chunks WHERE hash = $1", name)
    query = "SELECT region FROM chunk_locations WHERE chunk_hash = $1 ORDER BY region"
    return [home, *(row["region"] for row in await api.fetch(query, name))]


async def make_replication(
    databases: Databases, settings: Settings, region: str, pack_bytes: int = 1 << 20
) -> Replication:
    """What copies into a region, in this process."""
    (database,) = databases.every()
    stores = await open_known_stores(database, settings)
    presence = Presence(databases, timedelta(days=1))
    packs = PackWriter(databases, stores["local"], presence, cell=0, reader_grace=NOW)
    target = stores[region]
    return Replication(database, stores, target, packs.for_store(target), pack_bytes)


async def replicate(databases: Databases, settings: Settings, region: str) -> int:
    """Copies what is due in a region; returns the number of copies."""
    replication = await make_replication(databases, settings, region)
    placed = await exhaust(replication.copy_due_chunks())
    return sum(each.chunks for each in placed)


def objects(root: Path) -> Sequence[Path]:
    """The sealed objects in a directory."""
    return sorted(root.glob("0/??/*"))


async def assert_sound(api: Api, databases: Databases, settings: Settings) -> None:
    """No counter is wrong, each pack has its object, and each copy is where it should be."""
    await assert_counters(api.dsn)
    report = await check_everything(databases.every()[0], settings, repair=False)
    assert [fault for fault in report.faults if "contents have it" not in fault] == []


async def reap_all(databases: Databases, settings: Settings) -> None:
    """Deletes the objects that are due, in all regions."""
    stores = await open_known_stores(databases.every()[0], settings)
    await ObjectReaper(databases, stores, 0).reap_objects()
