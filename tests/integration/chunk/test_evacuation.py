"""A region is emptied: what lies there goes into another one."""

from __future__ import annotations

from pathlib import Path

import pytest
from dits.common.v1.job_pb2 import ScrubChunksPayload
from grpc import StatusCode

from services.admin.stores import evacuate_region
from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.stores.opening import open_known_stores
from shared.db.pool import Databases
from shared.runtime.config import ConfigError, Settings
from tests.integration.chunk.test_storage_maintenance import damage
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, chunk, files, some
from tests.support.collection import maintain
from tests.support.counters import assert_counters
from tests.support.regions import (
    assert_sound,
    objects,
    places,
    reap_all,
    set_policy,
    settle,
    with_regions,
)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_regions(settings, tmp_path)


async def test_a_region_is_emptied(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    shelf, copied = await Shelf.open(api), await Shelf.open(api)
    (database,) = databases.every()
    await set_policy(copied, "local", "far")
    alone, both, packed = some(), some(), bytes(3000)
    await shelf.upload([chunk(alone), chunk(packed, zstd=True)])
    await copied.put(both)
    await settle(api)
    for region, target, why in (
        ("local", "far", "1 repositories want"),
        ("attic", "attic", "into itself"),
        ("nowhere", "far", "no region nowhere"),
    ):
        with pytest.raises(ConfigError, match=why):
            await evacuate_region(database, settings, region, target)
    await set_policy(copied, "far")
    await settle(api)

    lines = await evacuate_region(database, settings, "local", "attic")
    assert lines[0] == "moved 2 chunks (1,020 bytes) out of local, dropped 0 copies".replace(
        "1,020", f"{1000 + await length(api, packed):,}"
    )
    assert "local is empty" in lines[1]
    assert await places(api, alone) == await places(api, packed) == ["attic"]
    assert await places(api, both) == ["far"]
    stores = await open_known_stores(database, settings)
    await ObjectReaper(databases, stores, 0).reap_objects()
    assert files(settings) == {}
    await shelf.get(alone, packed)
    await copied.get(both)
    await assert_counters(api.dsn)
    await evacuate_region(database, settings, "attic", "far")
    told = await evacuate_region(database, settings, "attic", "far")
    assert told[0].startswith("moved 0 chunks")
    assert told[1].endswith("1 objects wait for their deletion: run it again when they are gone")
    await shelf.get(alone, packed)


async def test_a_region_that_was_given_up_cannot_be_chosen_any_more(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    (database,) = databases.every()
    told = await evacuate_region(database, settings, "attic", "far")
    assert told[1] == "attic is empty, and no region any more: leave it out of stores"
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await set_policy(shelf, "attic")
    # A server that names it all the same has it again.
    await open_known_stores(database, settings)
    await set_policy(shelf, "attic")


async def length(api: Api, data: bytes) -> int:
    """The stored bytes of the only chunk that is compressed."""
    size: int = await api.value("SELECT compressed_size FROM chunks WHERE size = $1", len(data))
    return size


async def test_what_is_damaged_stays(api: Api, settings: Settings, databases: Databases) -> None:
    shelf = await Shelf.open(api)
    (database,) = databases.every()
    bad, good = some(), some()
    await shelf.put(bad, good)
    (path,) = files(settings).values()
    damage(path, path.read_bytes().index(bad))
    lines = await evacuate_region(database, settings, "local", "far")
    assert lines[0].startswith("moved 1 chunks (1,000 bytes)")
    assert lines[1].startswith("1 packs stay")
    assert await places(api, bad) == ["local"]
    assert await places(api, good) == ["far"]
    await shelf.get(good)
    await assert_counters(api.dsn)


@pytest.mark.parametrize(("source", "target"), [("local", "far"), ("far", "local")])
async def test_what_is_damaged_elsewhere_stays(
    api: Api,
    settings: Settings,
    databases: Databases,
    tmp_path: Path,
    source: str,
    target: str,
) -> None:
    # The region that is given up has the only intact bytes, as home or as copy, and nobody knows it yet.
    shelf = await Shelf.open(api)
    (database,) = databases.every()
    bad, good = some(), some()
    await set_policy(shelf, "local", "far")
    await shelf.put(bad, good)
    await settle(api)
    await api.fetch("UPDATE repository_settings SET regions = '{}'")
    (path,) = objects(tmp_path / "far") if target == "far" else files(settings).values()
    damage(path, path.read_bytes().index(bad))
    lines = await evacuate_region(database, settings, source, target)
    assert lines[1].startswith("1 packs stay")
    await reap_all(databases, settings)
    await shelf.get(bad, good)
    assert sorted(await places(api, bad)) == ["far", "local"]
    assert await places(api, good) == [target]
    # Healed, it goes.
    await maintain(api, databases, ScrubChunksPayload(everything=True))
    assert "is empty" in (await evacuate_region(database, settings, source, target))[1]
    await reap_all(databases, settings)
    await shelf.get(bad, good)
    await assert_sound(api, databases, settings)
