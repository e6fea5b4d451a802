"""Colder places beside several regions: what is archived is copied, moved and healed, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from dits.common.v1.job_pb2 import (
    ApplyLifecyclePayload,
    CheckPlacementPayload,
    ReplicateChunksPayload,
    ScrubChunksPayload,
)

from services.admin.stores import check_store, evacuate_region
from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.stores.tiers import open_places
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.integration.chunk.test_storage_maintenance import damage
from tests.support.api import Api
from tests.support.chunks import Shelf, chunk, some
from tests.support.collection import do_maintenance, maintain, reference
from tests.support.jobs import put, wait_for
from tests.support.regions import (
    ALL,
    assert_sound,
    objects,
    places,
    set_policy,
    settle,
    wait_while,
    with_regions,
)
from tests.support.tiers import TierDesk, with_tiers

EVERYTHING = ScrubChunksPayload(everything=True)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    tiers = {name: {"glacier": str(tmp_path / f"{name}-ice")} for name in ALL}
    return with_regions(with_tiers(settings, tmp_path), tmp_path, tiers=tiers)


async def open_desk(api: Api, databases: Databases, data: bytes) -> TierDesk:
    """A repository that refers to a chunk."""
    shelf = await Shelf.open(api)
    await shelf.put(data)
    assert await reference(shelf, data) == []
    return TierDesk(shelf, databases)


async def archive(desk: TierDesk, data: bytes) -> None:
    """Has a chunk go to the archive of its region."""
    await desk.set_class("glacier", data)
    await desk.apply_policies()


async def reap(databases: Databases, settings: Settings) -> None:
    """Deletes the objects that are due, everywhere."""
    (database,) = databases.every()
    await ObjectReaper(databases, await open_places(database, settings), 0).reap_objects()


async def test_what_is_archived_is_copied_when_it_can_be_read(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    data = some()
    desk = await open_desk(api, databases, data)
    await archive(desk, data)
    assert await places(api, data) == ["local.glacier"]
    await set_policy(desk.shelf, "local", "far")
    # The first run asks the archive, a later one copies.
    for _ in range(2):
        await do_maintenance(api, databases, ReplicateChunksPayload())
    await settle(api)
    assert await places(api, data) == ["local.glacier", "far"]
    assert await desk.archived(data) == [True]
    # The region can be left, with its archive; in the other one it is archived anew.
    await set_policy(desk.shelf, "far")
    await settle(api)
    assert await places(api, data) == ["far"]
    await desk.apply_policies()
    assert await places(api, data) == ["far.glacier"]
    await reap(databases, settings)
    assert objects(tmp_path / "local-ice") == objects(tmp_path / "far") == []
    await desk.restore(data)
    await desk.shelf.get(data)
    await assert_sound(api, databases, settings)


async def test_copies_stay_when_their_home_is_archived(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    data = some()
    desk = await open_desk(api, databases, data)
    await set_policy(desk.shelf, "local", "far")
    await settle(api)
    await archive(desk, data)
    assert await places(api, data) == ["local.glacier", "far"]
    assert await desk.archived(data) == [True]
    assert (await do_maintenance(api, databases, CheckPlacementPayload()))["outcome"] == "completed"
    await reap(databases, settings)
    # A damaged copy is healed from the archive, as soon as that can be read.
    (path,) = objects(tmp_path / "far")
    damage(path, path.read_bytes().index(data))
    for _ in range(2):
        await maintain(api, databases, EVERYTHING)
    (path,) = [path for path in objects(tmp_path / "far") if data in path.read_bytes()]
    assert await api.value("SELECT count(*) FROM chunks WHERE lost_at IS NOT NULL") == 0
    # Whoever brings it has it hot. Its copies are good: they stay, unless it comes in another form.
    where = "SELECT storage_key FROM chunk_locations"
    copy = await api.value(where)
    await desk.shelf.put(data)
    assert await api.value(where) == copy
    await settle(api)
    assert await places(api, data) == ["local", "far"]
    await reap(databases, settings)
    assert objects(tmp_path / "local-ice") == []
    await desk.shelf.get(data)
    await assert_sound(api, databases, settings)


async def test_copies_of_another_form_are_made_again(
    api: Api, settings: Settings, databases: Databases
) -> None:
    data = bytes(3000)
    desk = await open_desk(api, databases, data)
    await set_policy(desk.shelf, "local", "far")
    await settle(api)
    await archive(desk, data)
    await desk.shelf.upload([chunk(data, zstd=True)])
    await settle(api)
    assert await places(api, data) == ["local", "far"]
    await reap(databases, settings)
    await desk.shelf.get(data)
    await maintain(api, databases, EVERYTHING)
    await assert_sound(api, databases, settings)


async def test_a_region_is_emptied_with_its_archive(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    data = some()
    desk = await open_desk(api, databases, data)
    await archive(desk, data)
    (database,) = databases.every()
    lines = await evacuate_region(database, settings, "local", "attic")
    assert lines[0].startswith("moved 0 chunks")
    assert lines[1].startswith("1 packs lie in archives")
    assert lines[2].startswith("1 packs stay")
    lines = await evacuate_region(database, settings, "local", "attic")
    assert lines[0].startswith("moved 1 chunks")
    assert "is empty" in lines[1]
    await reap(databases, settings)
    assert objects(tmp_path / "local-ice") == []
    assert await desk.archived(data) == [True]
    await desk.restore(data)
    await desk.shelf.get(data)


async def test_a_place_that_lets_wait_can_be_checked(
    api: Api, settings: Settings, databases: Databases
) -> None:
    (database,) = databases.every()
    slow = settings.model_copy(update={"glacier_seconds": 3600.0})
    for store in (await open_places(database, slow)).values():
        lines = await check_store(store, settings.cell)
        assert any(line.startswith("works") for line in lines)
        assert (store.storage_class == "glacier") == any("archive" in line for line in lines)
        assert [keys async for keys in store.list_objects(0) if keys] == []


async def test_a_region_that_is_away_keeps_no_other_from_its_archive(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    far, near = some(), some()
    desk = await open_desk(api, databases, far)
    await set_policy(desk.shelf, "far")
    await settle(api)
    await set_policy(desk.shelf)
    await settle(api)
    await desk.shelf.put(near)
    assert await reference(desk.shelf, near) == []
    await desk.set_class("glacier", far, near)
    away = (tmp_path / "far").rename(tmp_path / "away")
    (database,) = databases.every()
    job_id = await put(database, ApplyLifecyclePayload())
    await wait_while(api, "SELECT count(*) FROM chunks WHERE storage_bucket = 'local'")
    assert await places(api, far) == ["far"]
    # The run fails, so that it is tried again.
    away.rename(tmp_path / "far")
    await api.fetch("UPDATE jobs SET scheduled_at = now() WHERE id = $1", job_id)
    await wait_for(database, job_id, "completed")
    assert await places(api, far) == ["far.glacier"]
    await desk.restore(far, near)
    await desk.shelf.get(far, near)


async def test_a_copy_goes_when_its_home_in_the_archive_was_read(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    data = some()
    desk = await open_desk(api, databases, data)
    await set_policy(desk.shelf, "local", "far")
    await settle(api)
    await archive(desk, data)
    await set_policy(desk.shelf, "local")
    await settle(api)
    assert await places(api, data) == ["local.glacier", "far"]
    # The archive was asked for what is to stay; the next check has read it.
    await maintain(api, databases, CheckPlacementPayload())
    assert await places(api, data) == ["local.glacier"]
    await reap(databases, settings)
    assert objects(tmp_path / "far") == []
    await desk.restore(data)
    await desk.shelf.get(data)
    await assert_sound(api, databases, settings)
