"""What the tests of tiers share: a server with colder places, and calls of TierService."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from dits.chunk.v1 import tier_service_pb2 as pb
from dits.common.v1.job_pb2 import ApplyLifecyclePayload

from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, digest, reason
from tests.support.collection import do_maintenance
from tests.support.jobs import wait_for

CLASSES = ("infrequent", "glacier", "deep_archive")


def with_tiers(settings: Settings, root: Path, **more: object) -> Settings:
    """Settings with a directory for each class, and no patience."""
    tiers = {"local": {each: str(root / each) for each in CLASSES}}
    return settings.model_copy(
        update={
            "tiers": tiers,
            "glacier_seconds": 0.0,
            "deep_archive_seconds": 0.0,
            "chunk_grace_seconds": 0,
            "reader_grace_seconds": 0,
            "open_pack_seconds": 0,
            "collection_limit_percent": 100,
            **more,
        }
    )


@dataclass(frozen=True, slots=True)
class TierDesk:
    """A repository, as TierService sees it.

    Attributes:
        shelf: the repository.
        databases: where its jobs are.
    """

    shelf: Shelf
    databases: Databases

    @property
    def api(self) -> Api:
        """The server."""
        return self.shelf.api

    async def age(self, days: int, *data: bytes) -> None:
        """Nobody has read chunks of the repository for so long."""
        await self.api.fetch(
            """UPDATE chunk_refs SET last_seen_at = now() - $1::interval
               WHERE repo_id = $2::uuid AND chunk_hash = ANY ($3)""",
            timedelta(days=days),
            self.shelf.repo.id,
            [digest(each).hex() for each in data],
        )

    async def apply_policies(self) -> None:
        """Has the server do the job of the policies."""
        record = await do_maintenance(self.api, self.databases, ApplyLifecyclePayload())
        assert record["outcome"] == "completed"

    async def archived(self, *data: bytes) -> list[bool]:
        """Of each chunk, whether the repository has to restore it: as it is told, and as it finds."""
        request = pb.FindArchivedChunksRequest(
            repository=self.shelf.repo.id, hashes=b"".join(map(digest, data))
        )
        found = await self.api.tiers.FindArchivedChunks(request, metadata=self.shelf.who.auth)
        bits = [bool(found.archived[i >> 3] >> (i & 7) & 1) for i in range(len(data))]
        assert sum(bits) == found.archived_count
        chunks = await self.shelf.download(*data)
        assert bits == [
            item.HasField("failure") and reason(item) == "CHUNK_ARCHIVED" for item in chunks
        ]
        return bits

    async def set_class(self, storage_class: str, *data: bytes) -> pb.SetStorageClassResponse:
        """Calls SetStorageClass, and waits for its job."""
        request = pb.SetStorageClassRequest(
            repository=self.shelf.repo.id,
            hashes=b"".join(map(digest, data)),
            storage_class=pb.StorageClass.Value(f"STORAGE_CLASS_{storage_class.upper()}"),
        )
        answer = await self.api.tiers.SetStorageClass(request, metadata=self.shelf.who.auth)
        await self._wait(answer.restore)
        return answer

    async def restore(self, *data: bytes, validate_only: bool = False) -> pb.Restore:
        """Calls RestoreChunks, and waits for its job; returns the restore as it is then."""
        request = pb.RestoreChunksRequest(
            repository=self.shelf.repo.id,
            hashes=b"".join(map(digest, data)),
            validate_only=validate_only,
        )
        answer = await self.api.tiers.RestoreChunks(request, metadata=self.shelf.who.auth)
        if not answer.restore.id:
            return answer.restore
        await self._wait(answer.restore)
        again = pb.GetRestoreRequest(repository=self.shelf.repo.id, restore_id=answer.restore.id)
        found = await self.api.tiers.GetRestore(again, metadata=self.shelf.who.auth)
        return found.restore

    async def places(self, *data: bytes) -> list[str]:
        """The buckets in which chunks lie."""
        query = "SELECT hash, storage_bucket, storage_class FROM chunks"
        rows = {row["hash"]: row for row in await self.api.fetch(query)}
        found = [rows[digest(each).hex()] for each in data]
        for row in found:
            tier = row["storage_bucket"].partition(".")[2] or "standard"
            assert row["storage_class"] == tier
        return [row["storage_bucket"] for row in found]

    async def _wait(self, restore: pb.Restore) -> None:
        if restore.job_id:
            (database,) = self.databases.every()
            await wait_for(database, UUID(restore.job_id), "completed")
