"""The life of chunks in a bucket of a real S3 server: all that is done in a directory is done there."""

from __future__ import annotations

import asyncio

import pytest
from dits.common.v1.job_pb2 import (
    CheckInventoryPayload,
    CollectGarbagePayload,
    CompactPacksPayload,
)

from services.admin.fsck import check_everything
from services.chunk.stores.s3_writer import PART_BYTES
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, chunk, reason, some
from tests.support.collection import end_claims, maintain, reap, reference, release
from tests.support.counters import assert_counters
from tests.support.s3_server import S3Server

PREFIX = "service/packs"


@pytest.fixture
def settings(settings: Settings, s3_server: S3Server) -> Settings:
    """No graces: what can go goes at once."""
    return settings.model_copy(
        update={
            "store": s3_server.url(PREFIX),
            "chunk_grace_seconds": 0,
            "reader_grace_seconds": 0,
            "collection_limit_percent": 100,
        }
    )


async def test_the_life_of_chunks(
    api: Api, settings: Settings, databases: Databases, s3_server: S3Server
) -> None:
    shelf = await Shelf.open(api)
    kept, dead, damaged = some(100), some(5000), some(400)
    large = [some(1 << 20) for _ in range((PART_BYTES >> 20) + 1)]
    await shelf.put(kept, dead)
    await shelf.put(damaged)
    await asyncio.gather(*(shelf.put(some()) for _ in range(4)))
    await shelf.upload(*([chunk(each)] for each in large))
    await shelf.get(kept, dead, damaged, *large)
    (database,) = databases.every()
    assert await reference(shelf, kept, damaged, *large) == []

    # What nobody refers to goes, and a pack that is mostly dead is written anew.
    await end_claims(api)
    await maintain(api, databases, CollectGarbagePayload())
    assert (await maintain(api, databases, CompactPacksPayload())).moved_chunk_count == 1
    await reap(databases, settings)
    packs = {row["key"] for row in await api.fetch("SELECT key FROM packs")}
    assert set(s3_server.names(PREFIX)) == packs | {"dits-owner-0", "dits-store"}
    await shelf.get(kept, damaged, *large)

    await do_damage(api, databases, s3_server)
    assert await shelf.missing(kept, damaged, large[0]) == [True, False, False]
    (answer,) = await shelf.download(damaged)
    assert reason(answer) == "CHUNK_CORRUPT"
    await shelf.put(kept)
    await shelf.get(kept, *large)
    faults = (await check_everything(database, settings, repair=False)).faults
    assert [fault for fault in faults if "object" in fault] == []

    # In the end nothing is left.
    await release(shelf, kept, damaged, *large)
    await end_claims(api)
    await maintain(api, databases, CollectGarbagePayload())
    await reap(databases, settings)
    assert s3_server.names(PREFIX) == ["dits-owner-0", "dits-store"]
    await assert_counters(api.dsn)


async def do_damage(api: Api, databases: Databases, s3_server: S3Server) -> None:
    """Changes an object, deletes one, and adds one; the inventory finds what can be seen from outside."""
    client = s3_server.client(PREFIX)
    query = "SELECT pack_key FROM chunks WHERE size = $1"
    await client.put_async(await api.value(query, 400), bytes(400))
    await client.put_async("0/" + "aa" * 16, b"nobody's")
    await client.delete_async(await api.value(query, 100))
    report = await maintain(api, databases, CheckInventoryPayload())
    assert (report.unknown_object_count, report.missing_object_count) == (1, 1)
    assert report.lost_chunk_count == 1
