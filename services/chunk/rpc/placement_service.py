"""The RPCs of dits.chunk.v1.PlacementService."""

from __future__ import annotations

from dits.chunk.v1 import placement_service_pb2 as pb

from services.chunk.placement.repository_regions import (
    find_missing_copies,
    list_regions,
    request_placement,
)
from shared.db.pool import Database, Databases
from shared.rpc import validation
from shared.rpc.call import Call


class PlacementService:
    """Tells where chunks lie. `database` is the one whose chunks the server stores."""

    def __init__(self, database: Database, databases: Databases, region: str) -> None:
        """`region`: where the server stands."""
        self._database = database
        self._databases = databases
        self._region = region

    async def ListRegions(
        self, request: pb.ListRegionsRequest, call: Call
    ) -> pb.ListRegionsResponse:
        """Lists the regions."""
        database, repository_id = self._database, None
        if request.repository:
            call.caller.require_scope("repo:read")
            repository_id = call.repository.id
            database = self._databases.of(repository_id)
        regions = [
            pb.Region(
                name=each.name,
                is_local=each.name == self._region,
                is_wanted=each.is_wanted,
                waiting_chunk_count=each.waiting,
            )
            for each in await list_regions(database, repository_id)
        ]
        return pb.ListRegionsResponse(regions=regions)

    async def FindMissingCopies(
        self, request: pb.FindMissingCopiesRequest, call: Call
    ) -> pb.FindMissingCopiesResponse:
        """Tells which chunks are not in which regions."""
        digests = validation.raw_digests("hashes", request.hashes)
        found = await find_missing_copies(self._databases, call.repository.id, digests)
        regions = [
            pb.MissingCopies(
                region=each.region, missing=each.missing, missing_count=each.missing_count
            )
            for each in found
        ]
        return pb.FindMissingCopiesResponse(regions=regions)

    async def ReplicateChunks(
        self, request: pb.ReplicateChunksRequest, call: Call
    ) -> pb.ReplicateChunksResponse:
        """Has chunks brought to where they are wanted."""
        del request
        database = self._databases.of(call.repository.id)
        job_id = await request_placement(database, call)
        return pb.ReplicateChunksResponse(job_id=str(job_id))
