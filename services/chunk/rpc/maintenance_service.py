"""The RPCs of dits.chunk.v1.MaintenanceService."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from dits.chunk.v1 import maintenance_run_pb2 as run_pb
from dits.chunk.v1 import maintenance_service_pb2 as pb
from dits.chunk.v1.tier_service_pb2 import StorageClass
from dits.common.v1.job_pb2 import (
    CheckInventoryPayload,
    CollectGarbagePayload,
    ScrubChunksPayload,
)
from google.protobuf import json_format

from services.chunk.collection.catalog_totals import read_large_totals, read_totals
from services.chunk.collection.garbage_plan import (
    count_first_dead_chunks,
    plan_collection,
)
from services.chunk.collection.runs import Kind, Outcome, request_run
from shared.db import sql
from shared.db.pool import Database, Databases, Row
from shared.errors import collection_implausible, invalid_field
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.rpc.timestamps import to_timestamp
from shared.runtime.collection_settings import CollectionSettings
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# Lost chunks of others that ListLostChunks passes over for one page.
LOST_STEPS = 10_000


class MaintenanceService:
    """Tells operators what is kept and what goes. `database` is the one whose chunks the server stores."""

    def __init__(
        self,
        database: Database,
        databases: Databases,
        key: ServerKey,
        settings: CollectionSettings,
    ) -> None:
        self._database = database
        self._databases = databases
        self._key = key
        self._lease = timedelta(seconds=settings.claim_lease_seconds)
        self._reader_grace = timedelta(seconds=settings.reader_grace_seconds)
        self._limit_percent = settings.collection_limit_percent

    async def PlanGarbageCollection(
        self, request: pb.PlanGarbageCollectionRequest, call: Call
    ) -> pb.PlanGarbageCollectionResponse:
        """Returns what a collection would do now."""
        del request
        call.caller.require_site_admin()
        total = await _find_total(self._database)
        plan = await plan_collection(self._database, self._lease, total)
        dead = plan.dead
        forecast = [
            pb.ChunkForecast(
                time=to_timestamp(item.time), chunk_count=item.chunk_count, bytes=item.bytes
            )
            for item in plan.forecast
        ]
        return pb.PlanGarbageCollectionResponse(
            plan_time=to_timestamp(dead.time),
            ended_claim_count=plan.ended_claim_count,
            total_chunk_count=dead.total_count,
            dead_chunk_count=dead.count,
            dead_bytes=dead.bytes,
            freed_pack_count=dead.pack_count,
            freed_bytes=dead.pack_bytes,
            freed_time=to_timestamp(dead.time + self._reader_grace),
            is_implausible=not dead.is_plausible(self._limit_percent),
            queued_object_count=plan.queued_count,
            queued_bytes=plan.queued_bytes,
            queue_end_time=to_timestamp(plan.queued_until),
            forecast=forecast,
            is_partial=dead.is_partial,
        )

    async def RunGarbageCollection(
        self, request: pb.RunGarbageCollectionRequest, call: Call
    ) -> pb.RunGarbageCollectionResponse:
        """Begins a collection."""
        call.caller.require_site_admin()
        confirmed = request.confirmed_chunk_count
        if confirmed < 0:
            raise invalid_field("confirmed_chunk_count", "must not be negative")
        dead = await count_first_dead_chunks(self._database, await _find_total(self._database))
        if not dead.is_plausible(self._limit_percent, confirmed):
            raise collection_implausible(dead.count, dead.total_count, self._limit_percent)
        payload = CollectGarbagePayload(confirmed_chunk_count=confirmed)
        job_id = await request_run(
            self._database, Kind.COLLECT_GARBAGE, payload, call.caller.user_id
        )
        return pb.RunGarbageCollectionResponse(job_id=str(job_id))

    async def VerifyChunks(
        self, request: pb.VerifyChunksRequest, call: Call
    ) -> pb.VerifyChunksResponse:
        """Begins a scrub."""
        call.caller.require_site_admin()
        payload = ScrubChunksPayload(everything=request.everything)
        job_id = await request_run(self._database, Kind.SCRUB_CHUNKS, payload, call.caller.user_id)
        return pb.VerifyChunksResponse(job_id=str(job_id))

    async def CheckInventory(
        self, request: pb.CheckInventoryRequest, call: Call
    ) -> pb.CheckInventoryResponse:
        """Begins an inventory."""
        call.caller.require_site_admin()
        confirmed = request.confirmed_object_count
        if confirmed < 0:
            raise invalid_field("confirmed_object_count", "must not be negative")
        payload = CheckInventoryPayload(confirmed_object_count=confirmed)
        user_id = call.caller.user_id
        job_id = await request_run(self._database, Kind.CHECK_INVENTORY, payload, user_id)
        return pb.CheckInventoryResponse(job_id=str(job_id))

    async def ListRuns(self, request: pb.ListRunsRequest, call: Call) -> pb.ListRunsResponse:
        """Lists the runs of the maintenance."""
        call.caller.require_site_admin()
        page = Page(self._key, request, call)
        found = await self._database.fetch(
            *Q.bind.list_runs(
                kind=_parse_kind(request.kind),
                started_at=datetime.fromisoformat(page.after[0]) if page.after else None,
                run_id=UUID(page.after[1]) if page.after else None,
                count=page.size + 1,
            )
        )
        rows, token = page.answer(
            found, lambda row: (row["started_at"].isoformat(), str(row["id"]))
        )
        return pb.ListRunsResponse(runs=map(_describe_run, rows), next_page_token=token)

    async def ListLostChunks(
        self, request: pb.ListLostChunksRequest, call: Call
    ) -> pb.ListLostChunksResponse:
        """Lists lost chunks, of a repository or all."""
        database, repository_id = self._find_database(request.repository, call, "repo:write")
        page = Page(self._key, request, call)
        after = page.after[0] if page.after else ""
        asked = (repository_id, after, page.size + 1, LOST_STEPS)
        found = await database.fetch(Q.list_lost_chunks, *asked)
        here = [row for row in found if row["is_here"]]
        rows, token = page.answer(here, lambda row: (row["hash"],))
        if len(here) < len(found):
            token = token or page.token(found[-1]["hash"])
        chunks = [
            pb.LostChunk(hash=row["hash"], size=row["size"], lost_time=row["lost_at"])
            for row in rows
        ]
        return pb.ListLostChunksResponse(chunks=chunks, next_page_token=token)

    async def GetStorage(self, request: pb.GetStorageRequest, call: Call) -> pb.GetStorageResponse:
        """Returns how much is stored, by a repository or in all."""
        database, repository_id = self._find_database(request.repository, call, "repo:read")
        if repository_id is None:
            return await _measure_everything(database)
        [row] = await database.fetch(Q.measure_repository, repository_id)
        return pb.GetStorageResponse(**dict(row))

    def _find_database(
        self, repository: str, call: Call, scope: str
    ) -> tuple[Database, UUID | None]:
        """Returns the database and id of the repository that a request names; None = everything."""
        if not repository:
            call.caller.require_site_admin()
            return self._database, None
        call.caller.require_scope(scope)
        return self._databases.of(call.repository.id), call.repository.id


async def _find_total(database: Database) -> int | None:
    """Returns how many chunks there are, if they are many: the collection itself counts them again."""
    counted = await read_large_totals(database)
    return counted and counted.chunk_count


async def _measure_everything(database: Database) -> pb.GetStorageResponse:
    totals = await read_totals(database)
    places = [_describe_place(row) for row in await database.fetch(Q.count_packs)]
    [queue] = await database.fetch(Q.count_queue)
    return pb.GetStorageResponse(
        chunk_count=totals.chunk_count,
        uncompressed_bytes=totals.uncompressed_bytes,
        stored_bytes=totals.stored_bytes,
        shared_bytes=totals.shared_bytes,
        lost_chunk_count=totals.lost_chunk_count,
        unreferenced_chunk_count=totals.unreferenced_chunk_count,
        pack_count=sum(place.pack_count for place in places),
        pack_bytes=sum(place.pack_bytes for place in places),
        queued_object_count=queue["queued_object_count"],
        queued_bytes=queue["queued_bytes"],
        count_time=totals.count_time,
        places=places,
    )


def _describe_place(row: Row) -> pb.StoragePlace:
    return pb.StoragePlace(
        region=row["region"],
        storage_class=StorageClass.Value(f"STORAGE_CLASS_{row['storage_class'].upper()}"),
        pack_count=row["pack_count"],
        pack_bytes=row["pack_bytes"],
    )


def _parse_kind(kind: run_pb.MaintenanceKind.ValueType) -> str | None:
    if kind == run_pb.MAINTENANCE_KIND_UNSPECIFIED:
        return None
    if kind not in run_pb.MaintenanceKind.values():
        raise invalid_field("kind", "is not a kind of run")
    return run_pb.MaintenanceKind.Name(kind).removeprefix("MAINTENANCE_KIND_").lower()


def _describe_run(row: Row) -> run_pb.MaintenanceRun:
    kind, outcome = Kind(row["kind"]), Outcome(row["outcome"])
    return run_pb.MaintenanceRun(
        id=str(row["id"]),
        kind=run_pb.MaintenanceKind.Value(f"MAINTENANCE_KIND_{kind.upper()}"),
        outcome=run_pb.MaintenanceOutcome.Value(f"MAINTENANCE_OUTCOME_{outcome.upper()}"),
        start_time=row["started_at"],
        end_time=row["ended_at"],
        job_id=str(row["job_id"]),
        requester_id=str(row["requested_by"] or ""),
        report=json_format.Parse(
            row["report"], run_pb.MaintenanceReport(), ignore_unknown_fields=True
        ),
    )
