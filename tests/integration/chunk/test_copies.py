"""What compaction, obliteration, damage and readers do with copies in other regions."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from dits.common.v1.job_pb2 import (
    CollectGarbagePayload,
    CompactPacksPayload,
    ScrubChunksPayload,
)

from services.chunk.catalog.presence import Presence
from services.chunk.collection.scrub import Scrub
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.opening import open_known_stores
from shared.db.pool import Databases
from shared.errors import DomainError
from shared.runtime.config import Settings
from tests.integration.chunk.test_storage_maintenance import damage
from tests.support.api import Api
from tests.support.chunks import Shelf, chunk, files, some
from tests.support.collection import DAY, end_claims, maintain, reference, release
from tests.support.obliterations import obliterate
from tests.support.regions import (
    ALL,
    assert_sound,
    objects,
    places,
    reap_all,
    set_policy,
    settle,
    wait_while,
    with_regions,
)
from tests.support.repositories import Holding
from tests.support.trees import save

EVERYTHING = ScrubChunksPayload(everything=True)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_regions(settings, tmp_path, compaction_dead_percent=50)


async def test_copies_go_with_their_chunk_and_move_with_their_pack(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    shelf = await Shelf.open(api)
    await set_policy(shelf, *ALL)
    kept, dead = some(100), some(5000)
    await shelf.put(kept, dead)
    await settle(api)
    await reference(shelf, kept)
    await end_claims(api)
    await maintain(api, databases, CollectGarbagePayload())
    report = await maintain(api, databases, CompactPacksPayload())
    assert (report.compacted_pack_count, report.moved_chunk_count) == (3, 3)
    await reap_all(databases, settings)
    for root in (tmp_path / "far", tmp_path / "attic", settings.data_dir / "chunks" / "local"):
        assert [path.stat().st_size for path in objects(root)] == [100]
    assert await places(api, kept) == ["local", "attic", "far"]
    await assert_sound(api, databases, settings)
    await release(shelf, kept)
    await end_claims(api)
    await maintain(api, databases, CollectGarbagePayload())
    await reap_all(databases, settings)
    assert [*objects(tmp_path / "far"), *objects(tmp_path / "attic"), *files(settings)] == []


async def test_what_is_obliterated_goes_from_all_regions(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    films = await Holding.open(api)
    shelf = Shelf(api, films.owner, films.repository)
    await set_policy(shelf, *ALL)
    secret, kept = some(900), some(1000)
    await save(api, films.owner, films.repository, {"secret": secret, "kept": kept})
    await settle(api)
    await obliterate(films, "secret", secret)
    await maintain(api, databases, CollectGarbagePayload())
    await maintain(api, databases, CompactPacksPayload())
    await reap_all(databases, settings)
    for root in (tmp_path / "far", tmp_path / "attic", settings.data_dir / "chunks" / "local"):
        (path,) = objects(root)
        assert secret not in path.read_bytes()
        assert kept in path.read_bytes()
    assert await places(api, kept) == ["local", "attic", "far"]


async def test_damage_is_healed_in_each_region(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    shelf = await Shelf.open(api)
    await set_policy(shelf, "local", "far")
    bad, good = some(), some()
    await shelf.put(bad, good)
    await settle(api)
    (home,) = files(settings).values()
    (copy,) = objects(tmp_path / "far")
    damage(home, home.read_bytes().index(bad))
    damage(copy, copy.read_bytes().index(good))
    report = await maintain(api, databases, EVERYTHING)
    assert (report.healed_chunk_count, report.lost_chunk_count) == (2, 0)
    assert (await maintain(api, databases, EVERYTHING)).healed_chunk_count == 0
    await shelf.get(bad, good)
    await assert_sound(api, databases, settings)
    # The other copy may be intact: what cannot be asked is no reason to call a chunk lost.
    away = (tmp_path / "far").rename(tmp_path / "away")
    for path in files(settings).values():
        path.write_bytes(b"")
    (database,) = databases.every()
    stores = await open_known_stores(database, settings)
    packs = PackWriter(
        databases, stores["local"], Presence(databases, DAY), cell=0, reader_grace=DAY
    )
    for key in [row["key"] for row in await api.fetch("SELECT key FROM packs")]:
        with suppress(DomainError):
            found = await Scrub(stores, packs).verify_pack(database, key)
            assert (found.healed, found.lost) == (0, 0)
    away.rename(tmp_path / "far")
    assert (await maintain(api, databases, EVERYTHING)).healed_chunk_count == 2
    await shelf.get(bad, good)


async def test_a_chunk_that_is_whole_again_is_copied_again(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    shelf = await Shelf.open(api)
    await set_policy(shelf, "local", "far")
    data = bytes(2000)
    await shelf.upload([chunk(data, zstd=True)])
    await settle(api)
    for path in [*files(settings).values(), *objects(tmp_path / "far")]:
        path.write_bytes(b"")
    assert (await maintain(api, databases, EVERYTHING)).lost_chunk_count == 1
    # It comes in another form, in which the old copy would be wrong.
    await shelf.put(data)
    await settle(api)
    assert await places(api, data) == ["local", "far"]
    await reap_all(databases, settings)
    (path,) = objects(tmp_path / "far")
    assert path.read_bytes() == data
    await assert_sound(api, databases, settings)


async def test_readers_go_where_the_bytes_are(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    shelf = await Shelf.open(api)
    await set_policy(shelf, "local", "far")
    bad, good = some(), some()
    await shelf.put(bad, good)
    await settle(api)
    (home,) = files(settings).values()
    damage(home, home.read_bytes().index(bad))
    await shelf.get(bad, good)
    # The pack was repaired, so that the other region is not needed any more.
    waiting = """SELECT NOT EXISTS (SELECT FROM jobs
                                    WHERE job_type = 'repair_pack' AND status = 'completed')
                 FROM pg_sleep(0.05)"""
    await wait_while(api, waiting)
    far = (tmp_path / "far").rename(tmp_path / "gone")
    await shelf.get(bad, good)
    far.rename(tmp_path / "far")
    root = settings.data_dir / "chunks" / "local"
    away = root.rename(root.with_name("away"))
    for _ in range(2):
        await shelf.get(bad, good)
    away.rename(root)
