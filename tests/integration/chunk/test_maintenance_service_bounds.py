"""MaintenanceService: a plan looks at so many chunks and no more; a run counts all."""

from __future__ import annotations

from uuid import UUID

import pytest
from dits.chunk.v1 import maintenance_service_pb2 as pb
from grpc import StatusCode

from services.chunk.collection import garbage_plan
from shared.db.pool import Databases
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, some
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
