"""The RPCs of dits.chunk.v1.TierService."""

from __future__ import annotations

from collections.abc import Collection

from dits.chunk.v1 import tier_service_pb2 as pb

from services.chunk.catalog.tiers import Tiers
from services.chunk.collection.restores import Restore, Restores
from services.chunk.stores.blob_store import STORAGE_CLASSES
from shared.errors import invalid_field
from shared.formats.bitmaps import mark_missing
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.timestamps import to_timestamp

_NAMES = dict(enumerate(STORAGE_CLASSES, 1))


class TierService:
    """Tells what is archived, and moves chunks between classes."""

    def __init__(self, tiers: Tiers, restores: Restores, classes: Collection[str]) -> None:
        """`classes`: the cold ones that there are places for."""
        self._tiers = tiers
        self._restores = restores
        self._classes = classes

    async def FindArchivedChunks(
        self, request: pb.FindArchivedChunksRequest, call: Call
    ) -> pb.FindArchivedChunksResponse:
        """Returns which chunks have to be restored."""
        digests = validation.raw_digests("hashes", request.hashes)
        found = await self._tiers.find_archived(call.repository.id, digests)
        archived, count = mark_missing(digests, set(digests) - found.digests)
        return pb.FindArchivedChunksResponse(
            archived=archived,
            archived_count=count,
            archived_bytes=found.stored_bytes,
            restore_seconds=int(self._restores.measure_delay(found.coldest).total_seconds()),
        )

    async def SetStorageClass(
        self, request: pb.SetStorageClassRequest, call: Call
    ) -> pb.SetStorageClassResponse:
        """Makes chunks colder at once, or hotter by a job."""
        digests = validation.raw_digests("hashes", request.hashes)
        wanted = _NAMES.get(request.storage_class)
        if wanted == "standard":
            found = await self._tiers.find_cold(call.repository.id, digests)
            if not found.digests:
                return pb.SetStorageClassResponse()
            restore = await self._restores.begin_restore(call, found, is_permanent=True)
            return pb.SetStorageClassResponse(restore=_describe(restore))
        if wanted is None or wanted not in self._classes:
            able = ", ".join(["standard", *self._classes])
            raise invalid_field("storage_class", f"must be one that there is a place for: {able}")
        changed = await self._tiers.cool_chunks(call, digests, wanted)
        return pb.SetStorageClassResponse(changed_count=changed)

    async def RestoreChunks(
        self, request: pb.RestoreChunksRequest, call: Call
    ) -> pb.RestoreChunksResponse:
        """Begins a restore."""
        digests = validation.raw_digests("hashes", request.hashes)
        repository_id = call.repository.id
        found = await self._tiers.find_archived(repository_id, digests)
        if not found.digests:
            return pb.RestoreChunksResponse()
        if request.validate_only:
            restore = await self._restores.plan_restore(repository_id, found)
        else:
            restore = await self._restores.begin_restore(call, found, is_permanent=False)
        return pb.RestoreChunksResponse(restore=_describe(restore))

    async def GetRestore(self, request: pb.GetRestoreRequest, call: Call) -> pb.GetRestoreResponse:
        """Returns a restore."""
        restore_id = validation.uuid("restore_id", request.restore_id)
        restore = await self._restores.get_restore(call.repository.id, restore_id)
        return pb.GetRestoreResponse(restore=_describe(restore))


def _describe(restore: Restore) -> pb.Restore:
    return pb.Restore(
        id=str(restore.id or ""),
        job_id=str(restore.job_id or ""),
        chunk_count=restore.chunk_count,
        stored_bytes=restore.stored_bytes,
        request_time=to_timestamp(restore.requested_at),
        expected_time=to_timestamp(restore.expected_at),
        restore_time=to_timestamp(restore.restored_at),
        end_time=to_timestamp(restore.restored_until),
    )
