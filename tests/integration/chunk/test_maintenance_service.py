"""MaintenanceService: plans, runs, lost chunks, storage; and who may ask."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from dits.chunk.v1 import maintenance_run_pb2 as run_pb
from dits.chunk.v1 import maintenance_service_pb2 as pb
from dits.chunk.v1.tier_service_pb2 import STORAGE_CLASS_STANDARD
from grpc import StatusCode

from services.chunk.rpc import maintenance_service
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Account, Api, refused
from tests.support.chunks import Shelf, digest, files, some
from tests.support.collection import end_claims, insert_run, reference
from tests.support.jobs import wait_for


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Chunks go at once, objects after an hour."""
    changed = {"chunk_grace_seconds": 0, "reader_grace_seconds": 3600}
    return settings.model_copy(update=changed)


@pytest.fixture
async def operator(api: Api) -> Account:
    return await api.api_token(await api.account(), "site:admin")


async def finish(databases: Databases, job_id: str) -> str:
    """Waits until a job is completed; the status."""
    (database,) = databases.every()
    row = await wait_for(database, job_id, "completed")  # type: ignore[arg-type]
    return str(row["status"])


async def plan(api: Api, operator: Account) -> pb.PlanGarbageCollectionResponse:
    """What a collection would do now."""
    request = pb.PlanGarbageCollectionRequest()
    planned: pb.PlanGarbageCollectionResponse = await api.maintenance.PlanGarbageCollection(
        request, metadata=operator.auth
    )
    return planned


async def collect(api: Api, databases: Databases, operator: Account, confirmed: int = 0) -> str:
    """Runs a collection; the id of its job."""
    request = pb.RunGarbageCollectionRequest(confirmed_chunk_count=confirmed)
    started = await api.maintenance.RunGarbageCollection(request, metadata=operator.auth)
    await finish(databases, started.job_id)
    job_id: str = started.job_id
    return job_id


async def list_lost(api: Api, shelf: Shelf) -> list[str]:
    """The lost chunks of a repository, page after page."""
    page, found = pb.ListLostChunksRequest(repository=shelf.repo.id), list[str]()
    while True:
        answer = await api.maintenance.ListLostChunks(page, metadata=shelf.who.auth)
        found += [chunk.hash for chunk in answer.chunks]
        page.page_token = answer.next_page_token
        if not page.page_token:
            return found


async def test_a_collection_is_planned_refused_confirmed_and_recorded(
    api: Api, databases: Databases, operator: Account
) -> None:
    shelf = await Shelf.open(api)
    kept, claimed, dead = some(), some(), [some() for _ in range(3)]
    await shelf.put(*dead, claimed, kept)
    await reference(shelf, kept, claimed)
    await end_claims(api)
    stub, auth = api.maintenance, operator.auth
    planned = await plan(api, operator)
    assert (planned.ended_claim_count, planned.dead_chunk_count) == (3, 0)
    assert not planned.is_implausible
    await collect(api, databases, operator)
    # It dropped the claims, and found that what they leave behind is implausibly much.
    planned = await plan(api, operator)
    assert (planned.ended_claim_count, planned.total_chunk_count) == (0, 5)
    assert (planned.dead_chunk_count, planned.dead_bytes) == (3, 3000)
    assert (planned.freed_pack_count, planned.is_implausible) == (0, True)
    assert planned.freed_time.ToDatetime() - planned.plan_time.ToDatetime() == timedelta(hours=1)
    for confirmed in (0, 2):
        with refused(StatusCode.FAILED_PRECONDITION, "COLLECTION_IMPLAUSIBLE") as refusal:
            await collect(api, databases, operator, confirmed)
        assert refusal.metadata == {"dead": "3", "total": "5", "limit": "20"}
    job_id = await collect(api, databases, operator, confirmed=3)

    first = await stub.ListRuns(pb.ListRunsRequest(page_size=1), metadata=auth)
    (run,) = first.runs
    assert (run.kind, run.outcome) == (
        run_pb.MAINTENANCE_KIND_COLLECT_GARBAGE,
        run_pb.MAINTENANCE_OUTCOME_COMPLETED,
    )
    assert (run.job_id, run.requester_id) == (job_id, str(operator.id))
    assert run.report.deleted_chunk_count == 3
    more = pb.ListRunsRequest(page_size=1, page_token=first.next_page_token)
    second = await stub.ListRuns(more, metadata=auth)
    assert second.runs[0].outcome == run_pb.MAINTENANCE_OUTCOME_REFUSED
    assert second.runs[0].report.dropped_claim_count == 3
    more.kind = run_pb.MAINTENANCE_KIND_SCRUB_CHUNKS
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await stub.ListRuns(more, metadata=auth)


async def test_a_run_that_is_under_way_is_returned(api: Api, operator: Account) -> None:
    running = str(await insert_run(api, "collect_garbage"))
    request = pb.RunGarbageCollectionRequest()
    started = await api.maintenance.RunGarbageCollection(request, metadata=operator.auth)
    assert started.job_id == running
    running = str(await insert_run(api, "scrub_chunks"))
    verify = pb.VerifyChunksRequest(everything=True)
    begun = await api.maintenance.VerifyChunks(verify, metadata=operator.auth)
    assert begun.job_id == running


async def test_the_forecast_and_the_queue(api: Api, operator: Account) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    data = [some() for _ in range(3)]
    await shelf.put(*data)
    await elsewhere.put(data[0])
    await api.fetch("DELETE FROM chunk_refs")
    for days, each in enumerate(data):
        await api.fetch(
            """UPDATE chunks SET ref_count = 0, delete_after = now() + make_interval(days => $2, mins => 5)
               WHERE hash = $1""",
            digest(each).hex(),
            days,
        )
    planned = await plan(api, operator)
    assert [(item.chunk_count, item.bytes) for item in planned.forecast] == [(1, 1000)] * 3
    assert planned.queued_object_count == 1
    assert planned.HasField("queue_end_time")


async def test_lost_chunks_are_listed_to_those_who_can_fill_them(
    api: Api, settings: Settings, databases: Databases, operator: Account
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    lost = sorted((some() for _ in range(3)), key=digest)
    await shelf.put(*lost[:2])
    await elsewhere.put(lost[2])
    for path in files(settings).values():
        path.write_bytes(b"")
    request = pb.VerifyChunksRequest(everything=True)
    started = await api.maintenance.VerifyChunks(request, metadata=operator.auth)
    await finish(databases, started.job_id)

    page = pb.ListLostChunksRequest(repository=shelf.repo.id, page_size=1)
    one = await api.maintenance.ListLostChunks(page, metadata=shelf.who.auth)
    page.page_token = one.next_page_token
    two = await api.maintenance.ListLostChunks(page, metadata=shelf.who.auth)
    found = [(chunk.hash, chunk.size) for chunk in (*one.chunks, *two.chunks)]
    assert found == [(digest(each).hex(), 1000) for each in lost[:2]]
    assert two.next_page_token == ""
    with pytest.MonkeyPatch.context() as patch:
        # Where many have lost chunks, a page may be empty, and leads on all the same.
        patch.setattr(maintenance_service, "LOST_STEPS", 1)
        assert await list_lost(api, elsewhere) == [digest(lost[2]).hex()]
        assert await list_lost(api, shelf) == [digest(each).hex() for each in lost[:2]]
    request_all = pb.ListLostChunksRequest()
    everything = await api.maintenance.ListLostChunks(request_all, metadata=operator.auth)
    assert len(everything.chunks) == 3
    reader = await api.account()
    await api.grant(shelf.repo, reader, "read")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        request_own = pb.ListLostChunksRequest(repository=shelf.repo.id)
        await api.maintenance.ListLostChunks(request_own, metadata=reader.auth)
    await shelf.put(*lost[:2])
    page.page_token = ""
    assert not (await api.maintenance.ListLostChunks(page, metadata=shelf.who.auth)).chunks


async def test_storage_of_a_repository_and_of_everything(api: Api, operator: Account) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    own, shared, claimed = some(1000), some(2000), some(500)
    await shelf.put(own, shared, claimed)
    await elsewhere.put(shared)
    await reference(shelf, own, shared)
    request = pb.GetStorageRequest(repository=shelf.repo.id)
    found = await api.maintenance.GetStorage(request, metadata=shelf.who.auth)
    assert found == pb.GetStorageResponse(
        chunk_count=3,
        uncompressed_bytes=3500,
        stored_bytes=3500,
        claimed_chunk_count=1,
    )
    found = await api.maintenance.GetStorage(pb.GetStorageRequest(), metadata=operator.auth)
    assert found.HasField("count_time")
    place = pb.StoragePlace(
        region="local", storage_class=STORAGE_CLASS_STANDARD, pack_count=1, pack_bytes=3500
    )
    found.ClearField("count_time")
    assert found == pb.GetStorageResponse(
        chunk_count=3,
        uncompressed_bytes=3500,
        stored_bytes=3500,
        shared_bytes=2000,
        pack_count=1,
        pack_bytes=3500,
        queued_object_count=1,
        places=[place],
    )


async def test_only_operators_may(api: Api) -> None:
    shelf = await Shelf.open(api)
    admin = await api.api_token(shelf.who, "repo:admin")
    for auth in (shelf.who.auth, admin.auth):
        calls: list[tuple[Any, Any]] = [
            (api.maintenance.PlanGarbageCollection, pb.PlanGarbageCollectionRequest()),
            (api.maintenance.RunGarbageCollection, pb.RunGarbageCollectionRequest()),
            (api.maintenance.VerifyChunks, pb.VerifyChunksRequest()),
            (api.maintenance.ListRuns, pb.ListRunsRequest()),
            (api.maintenance.ListLostChunks, pb.ListLostChunksRequest()),
            (api.maintenance.GetStorage, pb.GetStorageRequest()),
        ]
        for call, request in calls:
            with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
                await call(request, metadata=auth)


async def test_malformed_requests(api: Api, operator: Account) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        request = pb.RunGarbageCollectionRequest(confirmed_chunk_count=-1)
        await api.maintenance.RunGarbageCollection(request, metadata=operator.auth)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        unknown = pb.ListRunsRequest(kind=77)  # type: ignore[arg-type]
        await api.maintenance.ListRuns(unknown, metadata=operator.auth)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        request_page = pb.ListLostChunksRequest(page_token="x")
        await api.maintenance.ListLostChunks(request_page, metadata=operator.auth)
