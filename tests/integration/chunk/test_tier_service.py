"""Tiers: chunks go to colder places by policy, are restored, and come back."""

from __future__ import annotations

from pathlib import Path

import pytest
from dits.chunk.v1 import tier_service_pb2 as pb
from dits.chunk.v1.chunk_service_pb2 import CopyChunksRequest
from dits.common.v1.job_pb2 import (
    CheckInventoryPayload,
    CollectGarbagePayload,
    CompactPacksPayload,
    ScrubChunksPayload,
)
from dits.repo.v1 import repository_service_pb2 as repo_pb
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from services.admin.fsck import check_everything
from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.stores.tiers import open_places
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, digest, some
from tests.support.collection import do_maintenance, end_claims, maintain, reference, release
from tests.support.counters import assert_counters
from tests.support.tiers import TierDesk, with_tiers


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_tiers(settings, tmp_path / "tiers")


async def open_desk(api: Api, databases: Databases, *data: bytes) -> TierDesk:
    """A repository that refers to chunks."""
    shelf = await Shelf.open(api)
    if data:
        await shelf.put(*data)
        assert await reference(shelf, *data) == []
    return TierDesk(shelf, databases)


async def assert_whole(api: Api, settings: Settings, databases: Databases) -> None:
    """Nothing is lost, and what is stored is what is named."""
    (database,) = databases.every()
    report = await check_everything(database, settings, repair=False)
    assert [fault for fault in report.faults if "object" in fault or "pack" in fault] == []
    assert report.lost_chunks == 0
    await assert_counters(api.dsn)


async def test_what_nobody_reads_goes_to_colder_places(
    api: Api, settings: Settings, databases: Databases
) -> None:
    hot, cool, cold, frozen = data = [some() for _ in range(4)]
    desk = await open_desk(api, databases, *data)
    # A chunk list goes nowhere, nor what is in no commit yet.
    listing, claimed = some(), some()
    await desk.shelf.put(listing, claimed)
    await reference(desk.shelf, listing, size=0)
    await desk.age(1000, listing, claimed)
    assert (await desk.set_class("glacier", listing, claimed)).changed_count == 0
    for days, each in ((29, hot), (31, cool), (91, cold), (366, frozen)):
        await desk.age(days, each)
    await desk.apply_policies()
    placed = ["local", "local.infrequent", "local.glacier", "local.deep_archive"]
    assert await desk.places(*data, listing, claimed) == [*placed, "local", "local"]
    assert await desk.archived(*data, listing) == [False, False, True, True, False]
    await desk.shelf.get(hot, cool)
    # All that looks after the bytes leaves them there, and loses none.
    await end_claims(api)
    for payload in (
        CollectGarbagePayload(),
        CompactPacksPayload(),
        ScrubChunksPayload(everything=True),
        CheckInventoryPayload(),
    ):
        assert (await do_maintenance(api, databases, payload))["outcome"] == "completed"
    await desk.apply_policies()
    assert await desk.places(*data) == placed
    (database,) = databases.every()
    await ObjectReaper(databases, await open_places(database, settings), 0).reap_objects()
    await assert_whole(api, settings, databases)
    # Deleted, nothing is left of them anywhere.
    await release(desk.shelf, *data, listing)
    await end_claims(api)
    await maintain(api, databases, CollectGarbagePayload())
    places = await open_places(database, settings)
    await ObjectReaper(databases, places, 0).reap_objects()
    for store in places.values():
        assert [keys async for keys in store.list_objects(0) if keys] == []


async def test_who_brings_a_chunk_has_it_hot(api: Api, databases: Databases) -> None:
    data = some()
    desk, other = await open_desk(api, databases, data), await open_desk(api, databases)
    await desk.age(31, data)
    await desk.apply_policies()
    assert await desk.places(data) == ["local.infrequent"]
    await other.shelf.put(data)
    assert await desk.places(data) == ["local"]
    await assert_counters(api.dsn)


async def test_a_restored_chunk_can_be_read_for_a_while(api: Api, databases: Databases) -> None:
    cold, hot = some(1000), some()
    desk = await open_desk(api, databases, cold, hot)
    await desk.age(100, cold)
    await desk.apply_policies()
    plan = await desk.restore(cold, hot, validate_only=True)
    assert (plan.chunk_count, plan.stored_bytes, plan.job_id) == (1, 1000, "")
    assert await desk.archived(cold) == [True]
    restored = await desk.restore(cold, hot)
    assert (restored.chunk_count, restored.stored_bytes) == (1, 1000)
    assert restored.restore_time.seconds >= restored.expected_time.seconds
    assert restored.end_time.seconds - restored.restore_time.seconds == 7 * 86_400
    await desk.shelf.get(cold, hot)
    # It stays where it is, and is archived again when the time is over.
    await desk.apply_policies()
    assert await desk.places(cold) == ["local.glacier"]
    await api.fetch("UPDATE chunk_refs SET restored_until = now() WHERE storage_class = 'glacier'")
    assert await desk.archived(cold, hot) == [True, False]
    assert not (await desk.restore(hot)).id


async def test_what_one_repository_wants_hot_stays_hot(api: Api, databases: Databases) -> None:
    shared = some()
    first = await open_desk(api, databases, shared)
    second = await open_desk(api, databases, shared)
    await first.age(100, shared)
    await first.apply_policies()
    # It lies where the other one reads it; the first reads by its own class, and learns nothing.
    assert await first.places(shared) == ["local"]
    assert await first.archived(shared) == [True]
    assert await second.archived(shared) == [False]
    await first.restore(shared)
    assert await first.archived(shared) == [False]
    await api.fetch("UPDATE chunk_refs SET restored_until = now() WHERE restored_until IS NOT NULL")
    # Now the other one wants it colder still: the hotter of the two decides.
    await second.age(400, shared)
    await second.apply_policies()
    assert await first.places(shared) == ["local.glacier"]
    assert (await second.set_class("infrequent", shared)).changed_count == 0


async def copy(desk: TierDesk, *data: bytes) -> TierDesk:
    """A repository of the same account that gets chunks of another one."""
    target = Shelf(desk.api, desk.shelf.who, await desk.api.repository(desk.shelf.who))
    request = CopyChunksRequest(
        repository=target.repo.id,
        source_repository=desk.shelf.repo.id,
        hashes=b"".join(map(digest, data)),
    )
    await desk.api.chunks.CopyChunks(request, metadata=desk.shelf.who.auth)
    return TierDesk(target, desk.databases)


async def test_whoever_brings_a_chunk_has_it_hot(api: Api, databases: Databases) -> None:
    cold, other = some(), some()
    desk = await open_desk(api, databases, cold, other)
    stranger = await open_desk(api, databases)
    assert (await desk.set_class("glacier", cold, other)).changed_count == 2
    await desk.apply_policies()
    assert await desk.places(cold, other) == ["local.glacier"] * 2
    # A copy is wanted as its source is.
    assert await (await copy(desk, cold)).archived(cold) == [True]
    assert (await stranger.shelf.put(cold)).stored_chunk_count == 1
    assert await desk.places(cold, other) == ["local", "local.glacier"]
    assert await stranger.archived(cold) == [False]
    assert await desk.archived(cold, other) == [True, True]
    # Also the one that has it.
    assert (await desk.shelf.put(cold, other)).stored_chunk_count == 2
    assert await desk.archived(cold, other) == [False, False]
    assert await desk.places(cold, other) == ["local", "local"]
    await assert_counters(api.dsn)


async def test_chunks_become_hot_again(api: Api, databases: Databases) -> None:
    data = [some() for _ in range(3)]
    desk = await open_desk(api, databases, *data)
    for each, storage_class in zip(data, ("infrequent", "glacier", "deep_archive"), strict=True):
        assert (await desk.set_class(storage_class, each)).changed_count == 1
    await desk.apply_policies()
    assert "local" not in await desk.places(*data)
    answer = await desk.set_class("standard", *data)
    assert (answer.changed_count, answer.restore.chunk_count) == (0, 3)
    assert await desk.places(*data) == ["local"] * 3
    await desk.apply_policies()
    assert await desk.places(*data) == ["local"] * 3
    await desk.shelf.get(*data)
    assert not (await desk.set_class("standard", *data)).HasField("restore")
    await assert_counters(api.dsn)


async def test_a_policy_says_when_and_never(api: Api, databases: Databases) -> None:
    chunk = some()
    desk = await open_desk(api, databases, chunk)

    async def update(**days: int) -> repo_pb.RepositorySettings:
        request = repo_pb.UpdateRepositorySettingsRequest(
            repository=desk.shelf.repo.id,
            settings=repo_pb.RepositorySettings(lifecycle_policy=repo_pb.LifecyclePolicy(**days)),
            update_mask=FieldMask(paths=["lifecycle_policy"]),
        )
        auth = desk.shelf.who.auth
        answer = await api.repositories.UpdateRepositorySettings(request, metadata=auth)
        return answer.settings

    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await update(glacier_days=-1)
    answer = await update(infrequent_days=0, glacier_days=0, deep_archive_days=0)
    assert answer.lifecycle_policy.HasField("glacier_days")
    await desk.age(1000, chunk)
    await desk.apply_policies()
    assert await desk.places(chunk) == ["local"]
    await update(infrequent_days=2000, glacier_days=999, deep_archive_days=0)
    await desk.apply_policies()
    assert await desk.places(chunk) == ["local.glacier"]
    assert not (await update()).HasField("lifecycle_policy")


async def test_what_is_asked_for_wrongly(api: Api, databases: Databases) -> None:
    chunk, theirs = some(), some()
    desk = await open_desk(api, databases, chunk)
    other = await open_desk(api, databases, theirs)
    await desk.set_class("glacier", chunk, theirs)
    assert await desk.restore(theirs) == pb.Restore()
    restored = await desk.restore(chunk)
    auth = other.shelf.who.auth
    request = pb.GetRestoreRequest(repository=other.shelf.repo.id, restore_id=restored.id)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.tiers.GetRestore(request, metadata=auth)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.tiers.SetStorageClass(
            pb.SetStorageClassRequest(repository=other.shelf.repo.id, hashes=bytes(32)),
            metadata=auth,
        )
    await api.fetch(
        """INSERT INTO chunk_restores (id, repo_id, job_id, hashes, is_permanent, chunk_count, stored_bytes,
                                       expected_at)
           SELECT gen_random_uuid(), repo_id, job_id, hashes, is_permanent, 1, 1, now()
           FROM chunk_restores, generate_series(1, 1000) LIMIT 1000"""
    )
    await api.fetch("UPDATE chunk_refs SET restored_until = NULL")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"):
        await desk.restore(chunk)
