"""MaintenanceService: a plan looks at so many chunks and no more; a run counts all."""

from __future__ import annotations

from uuid import UUID

import pytest
from dits.chunk.v1 import maintenance_service_pb2 as pb
from grpc import StatusCode

from services.chunk.collection import garbage_plan
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, files, some
from tests.support.collection import do_maintenance, end_claims, reference
from tests.support.jobs import wait_for

_RUN = """SELECT outcome, report ->> 'dead_chunk_count' AS dead FROM maintenance_runs
          WHERE job_id = $1::uuid"""


async def test_there_is_more_than_a_plan_looks_at(
    api: Api, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage_plan, "PLANNED", 2)
    operator = await api.api_token(await api.account(), "site:admin")
    shelf, kept = await Shelf.open(api), some()
    await shelf.put(kept, *(some() for _ in range(4)))
    await reference(shelf, kept)
    await end_claims(api)

    async def plan() -> pb.PlanGarbageCollectionResponse:
        request = pb.PlanGarbageCollectionRequest()
        return await api.maintenance.PlanGarbageCollection(request, metadata=operator.auth)

    planned = await plan()
    assert (planned.ended_claim_count, planned.is_partial) == (2, False)
    assert (await do_maintenance(api, databases))["outcome"] == "completed"
    # Their grace goes on.
    assert [(each.chunk_count, each.bytes) for each in (await plan()).forecast] == [(2, 2000)]
    await api.fetch("UPDATE chunks SET delete_after = now() WHERE delete_after IS NOT NULL")
    planned = await plan()
    assert (planned.dead_chunk_count, planned.dead_bytes) == (2, 2000)
    assert (planned.is_partial, planned.is_implausible) == (True, True)
    # What the plan says is not enough: the run finds all, and says how many.
    run = pb.RunGarbageCollectionRequest(confirmed_chunk_count=1)
    with refused(StatusCode.FAILED_PRECONDITION, "COLLECTION_IMPLAUSIBLE"):
        await api.maintenance.RunGarbageCollection(run, metadata=operator.auth)
    for confirmed, outcome in ((2, "refused"), (4, "completed")):
        run.confirmed_chunk_count = confirmed
        begun = await api.maintenance.RunGarbageCollection(run, metadata=operator.auth)
        await wait_for(databases.every()[0], UUID(begun.job_id), "completed")
        [row] = await api.fetch(_RUN, begun.job_id)
        assert (row["outcome"], row["dead"]) == (outcome, "4")
    assert (await plan()).dead_chunk_count == 0
    await shelf.get(kept)


async def test_an_inventory_above_its_limit_can_be_confirmed(
    api: Api, settings: Settings, databases: Databases
) -> None:
    operator = await api.api_token(await api.account(), "site:admin")
    shelf, kept = await Shelf.open(api), some()
    await shelf.put(kept)
    (path,) = files(settings).values()
    folder = path.parents[1] / "ab"
    folder.mkdir(exist_ok=True)
    for number in range(2):
        (folder / f"ab{number:030}").write_bytes(b"?")
    request = pb.CheckInventoryRequest(confirmed_object_count=-1)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.maintenance.CheckInventory(request, metadata=operator.auth)
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await api.maintenance.CheckInventory(pb.CheckInventoryRequest(), metadata=shelf.who.auth)
    # More have come than were confirmed: that is refused, too.
    for confirmed, outcome, queued in ((0, "refused", 0), (1, "refused", 0), (2, "completed", 2)):
        request.confirmed_object_count = confirmed
        begun = await api.maintenance.CheckInventory(request, metadata=operator.auth)
        await wait_for(databases.every()[0], UUID(begun.job_id), "completed")
        [row] = await api.fetch(
            "SELECT outcome, report ->> 'summary' AS told FROM maintenance_runs WHERE job_id = $1::uuid",
            begun.job_id,
        )
        assert row["outcome"] == outcome
        assert ("dits gc inventory --confirm 2" in row["told"]) == (outcome == "refused")
        assert await api.value("SELECT count(*) FROM object_deletions") == queued
    await shelf.get(kept)
