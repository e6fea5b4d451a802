"""What is obliterated goes from the packs of every region."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest
from dits.common.v1.job_pb2 import CollectGarbagePayload

from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.catalog.presence import Presence
from services.chunk.collection.compaction import Compaction
from services.chunk.collection.good_copies import GoodCopies
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.opening import open_known_stores
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api, running_suite
from tests.support.chunks import Shelf, digest, some
from tests.support.collection import DAY, do_maintenance, exhaust
from tests.support.obliterations import obliterate
from tests.support.repositories import Holding
from tests.support.trees import save


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Two regions; what can go goes at once."""
    near = settings.data_dir / "chunks" / "local"
    return settings.model_copy(
        update={
            "stores": {"local": (str(near),), "far": (str(tmp_path / "far"),)},
            "reader_grace_seconds": 0,
            "open_pack_seconds": 0,
            "collection_limit_percent": 100,
            "compaction_dead_percent": 99,
        }
    )


def count_objects(root: Path, data: bytes) -> int:
    """How many objects in a directory hold some bytes."""
    return sum(data in path.read_bytes() for path in root.glob("0/??/*"))


async def test_an_erasure_ends_when_no_region_has_the_bytes(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    films = await Holding.open(api)
    secret, kept = some(900), some(1000)
    async with running_suite(api.dsn, settings.model_copy(update={"region": "far"})) as far:
        content = {"secret": secret, "kept": kept}
        await save(far, films.owner, films.repository, content)
    assert count_objects(tmp_path / "far", secret) == 1
    await obliterate(films, "secret", secret)
    await do_maintenance(api, databases, CollectGarbagePayload())

    (database,) = databases.every()
    stores = await open_known_stores(database, settings)
    writer = PackWriter(
        databases, stores["local"], Presence(databases, DAY), cell=0, reader_grace=DAY * 0
    )
    pending = "SELECT count(*) FROM chunk_erasures WHERE deleted_at IS NOT NULL"
    for bucket, left in (("local", 1), ("far", 0)):
        compaction = Compaction(
            stores[bucket],
            writer.for_store(stores[bucket]),
            dead_percent=99,
            pack_bytes=1 << 20,
            open_pack=timedelta(0),
        )
        await exhaust(compaction.compact_packs(database))
        assert await api.value(pending) == left, bucket
    await ObjectReaper(databases, stores, 0).reap_objects()
    assert count_objects(tmp_path / "far", secret) == 0
    assert count_objects(tmp_path / "far", kept) == 1
    await Shelf(api, films.owner, films.repository).get(kept)


async def test_a_pack_that_is_open_when_the_chunk_goes_is_rewritten_later(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    films = await Holding.open(api)
    secret, kept = some(900), some(1000)
    await save(api, films.owner, films.repository, {"secret": secret, "kept": kept})
    (database,) = databases.every()
    stores = await open_known_stores(database, settings)
    home = PackWriter(
        databases, stores["local"], Presence(databases, DAY), cell=0, reader_grace=DAY * 0
    )
    writer = home.for_store(stores["far"])
    pack = writer.begin_pack_in(database)
    digests = {digest(secret), digest(kept)}
    async with aclosing(GoodCopies(database, stores).read_chunks(digests)) as groups:
        async for good in groups:
            await writer.append_chunks(pack, good)
    await obliterate(films, "secret", secret)
    await do_maintenance(api, databases, CollectGarbagePayload())

    async def compact(bucket: str) -> None:
        compaction = Compaction(
            stores[bucket],
            home.for_store(stores[bucket]),
            dead_percent=99,
            pack_bytes=1 << 20,
            open_pack=DAY,
        )
        await exhaust(compaction.compact_packs(database))
        await ObjectReaper(databases, stores, settings.cell).reap_objects()

    await compact("local")
    assert count_objects(tmp_path / "far", secret) == 0
    assert (await writer.finalize_copies(pack)).chunks == 1
    assert count_objects(tmp_path / "far", secret) == 1
    await compact("far")
    assert count_objects(tmp_path / "far", secret) == 0
    assert count_objects(tmp_path / "far", kept) == 1
