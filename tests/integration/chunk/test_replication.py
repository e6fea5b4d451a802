"""Copies in other regions: they are made where repositories want them, and dropped."""

from __future__ import annotations

from pathlib import Path

import pytest
from dits.chunk.v1.maintenance_run_pb2 import MaintenanceReport
from dits.common.v1.job_pb2 import (
    CheckPlacementPayload,
    ReplicateChunksPayload,
    ScrubChunksPayload,
)
from grpc import StatusCode

from services.admin.fsck import check_everything
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, chunk, files, some
from tests.support.client import Person, write
from tests.support.collection import exhaust, maintain, reference
from tests.support.counters import assert_counters
from tests.support.regions import (
    ALL,
    assert_sound,
    make_replication,
    objects,
    places,
    reap_all,
    set_policy,
    settle,
    wait_while,
    with_regions,
)
from tests.support.s3_server import S3Server
from tests.support.trees import save

EVERYTHING = ScrubChunksPayload(everything=True)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_regions(settings, tmp_path, compaction_dead_percent=50)


async def test_what_is_uploaded_is_copied_to_where_it_is_wanted(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    await set_policy(shelf, *ALL)
    plain, packed = some(), bytes(3000)
    await shelf.upload([chunk(plain), chunk(packed, zstd=True)])
    await elsewhere.put(some())
    await settle(api)
    for data in (plain, packed):
        assert await places(api, data) == ["local", "attic", "far"]
    for name in ("far", "attic"):
        (path,) = objects(tmp_path / name)
        assert plain in path.read_bytes()
    # What another repository brought is wanted, too, as soon as this one has it.
    other = some()
    await elsewhere.put(other)
    assert await places(api, other) == ["local"]
    await shelf.put(other)
    await settle(api)
    assert await places(api, other) == ["local", "attic", "far"]
    await assert_sound(api, databases, settings)


async def test_a_policy_moves_what_is_there(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    shelf = await Shelf.open(api)
    data = [some() for _ in range(5)]
    await shelf.put(*data)
    await reference(shelf, *data)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await set_policy(shelf, "local", "nowhere")
    assert "nowhere" in refusal.message
    for wrong in ({"min_regions": 3}, {"min_regions": 2, "seconds": 60}, {"seconds": 1 << 30}):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await set_policy(shelf, "local", "far", **wrong)
    changed = await set_policy(shelf, "local", "far")
    assert list(changed.regions) == ["far", "local"]
    await settle(api)
    assert await places(api, data[0]) == ["local", "far"]
    # A region is left when everything is in another one, and not before.
    with refused(StatusCode.FAILED_PRECONDITION, "LAST_COPY") as refusal:
        await set_policy(shelf, "attic")
    assert refusal.metadata == {"count": "0"}
    await set_policy(shelf, "far")
    await settle(api)
    assert await places(api, data[0]) == ["far"]
    assert await api.value("SELECT count(*) FROM packs WHERE bucket = 'local'") == 0
    await shelf.get(*data)
    late = some()
    await shelf.put(late)
    await settle(api)
    assert await places(api, late) == ["far"]
    await set_policy(shelf)
    await settle(api)
    assert await places(api, late) == ["far"]
    await reap_all(databases, settings)
    assert files(settings) == {}
    await assert_sound(api, databases, settings)


async def test_a_region_is_not_left_before_all_is_copied(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    shelf = await Shelf.open(api)
    away = (tmp_path / "far").rename(tmp_path / "away")
    await set_policy(shelf, "local", "far")
    data = some()
    await shelf.put(data)
    report = await maintain_copies(api, databases)
    assert (report.copied_chunk_count, report.waiting_copy_count) == (0, 1)
    with refused(StatusCode.FAILED_PRECONDITION, "LAST_COPY") as refusal:
        await set_policy(shelf, "far")
    assert refusal.metadata == {"count": "1"}
    away.rename(tmp_path / "far")
    report = await maintain_copies(api, databases)
    assert (report.copied_chunk_count, report.waiting_copy_count) == (1, 0)
    await set_policy(shelf, "far")
    await settle(api)
    assert await places(api, data) == ["far"]


async def maintain_copies(api: Api, databases: Databases) -> MaintenanceReport:
    """Waits for what runs by itself, and replicates once more."""
    running = """SELECT (SELECT count(*) FROM jobs
                         WHERE queue = 'chunk' AND status IN ('pending', 'running'))
                 FROM pg_sleep(0.05)"""
    await wait_while(api, running)
    return await maintain(api, databases, ReplicateChunksPayload())


async def test_a_push_waits_for_as_many_regions_as_the_repository_wants(
    api: Api, settings: Settings, tmp_path: Path
) -> None:
    ada = await api.account("ada")
    shelf = Shelf(api, ada, await api.repository(ada, "film"))
    await set_policy(shelf, "local", "far", min_regions=2)
    away = (tmp_path / "far").rename(tmp_path / "away")
    scene = some()
    with refused(StatusCode.FAILED_PRECONDITION, "REGIONS_MISSING") as refusal:
        await save(api, ada, shelf.repo, {"scene": scene})
    assert refusal.metadata == {"count": "1", "min_regions": "2"}
    away.rename(tmp_path / "far")
    with Person(api, ada, tmp_path / "ada") as person:
        write(tmp_path / "ada" / "work", {"scene": scene, "more": some(), "empty": b""})
        await person.push("work", "ada/film")
    assert await places(api, scene) == ["local", "far"]


async def test_replication_that_was_interrupted_goes_on(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    shelf = await Shelf.open(api)
    await set_policy(shelf, "local", "far", seconds=3600)
    data = [some(1000) for _ in range(6)]
    for at in range(0, 6, 2):
        await shelf.put(*data[at : at + 2])
    assert await places(api, data[0]) == ["local"]
    await api.fetch("UPDATE due_copies SET due_at = now()")
    copying = (await make_replication(databases, settings, "far", 2500)).copy_due_chunks()
    placed = 0
    async for each in copying:
        placed += each.chunks
        if placed:
            break
    await copying.aclose()
    copied = await api.value("SELECT count(*) FROM chunk_locations")
    assert copied == placed < 6
    assert await api.value("SELECT count(*) FROM due_copies WHERE region = 'far'") == 6 - placed
    # A process that was killed leaves an open pack, which the sweep takes.
    rest = await make_replication(databases, settings, "far", 2500)
    assert sum(each.chunks for each in await exhaust(rest.copy_due_chunks())) == 6 - placed
    assert await api.value("SELECT count(*) FROM chunk_locations") == 6


async def test_the_nightly_check_finds_what_nobody_has_queued(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf, other = await Shelf.open(api), await Shelf.open(api)
    await set_policy(shelf, "local", "far")
    await set_policy(other, "local", "attic")
    data = some()
    await shelf.put(data)
    await other.put(data)
    await settle(api)
    assert await places(api, data) == ["local", "attic", "far"]
    (database,) = databases.every()
    async with database.connection() as connection:
        await connection.execute("DELETE FROM chunk_locations WHERE region = 'far'")
        await connection.execute("DELETE FROM packs WHERE bucket = 'far'")
    report = await check_everything(database, settings, repair=False)
    assert any("not in region far" in fault for fault in report.faults)
    # The other one ends, and its copies with it.
    await api.fetch("DELETE FROM repository_settings WHERE repo_id = $1::uuid", other.repo.id)
    found = await maintain(api, databases, CheckPlacementPayload())
    # What the other one had is dropped by this job, or by the one that copies beside it.
    assert found.queued_copy_count == 1
    await settle(api)
    assert await places(api, data) == ["local", "far"]
    await assert_counters(api.dsn)


class TestInABucket:
    """One of the regions is an S3 server."""

    @pytest.fixture
    def settings(self, settings: Settings, s3_server: S3Server) -> Settings:
        stores = {**settings.stores, "far": (s3_server.url("replication"),)}
        return settings.model_copy(update={"stores": stores})

    async def test_copies_go_there_and_heal_from_there(
        self, api: Api, settings: Settings, databases: Databases
    ) -> None:
        shelf = await Shelf.open(api)
        await set_policy(shelf, "local", "far")
        data = [some() for _ in range(3)]
        await shelf.put(*data)
        await settle(api)
        assert await places(api, data[0]) == ["local", "far"]
        for path in files(settings).values():
            path.unlink()
        assert (await maintain(api, databases, EVERYTHING)).healed_chunk_count == 3
        await set_policy(shelf, "far")
        await settle(api)
        assert await places(api, data[0]) == ["far"]
        await shelf.get(*data)
        await assert_sound(api, databases, settings)
