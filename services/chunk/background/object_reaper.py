"""Deletes objects that no pack names any more."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from services.chunk.stores.absences import Absences
from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.pool import Database, Databases

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

REAP_SECONDS = 60.0


class ObjectReaper:
    """The reaper of queued objects of every database. Any number of replicas may reap at once."""

    def __init__(self, databases: Databases, stores: Mapping[str, BlobStore]) -> None:
        self._databases = databases
        self._stores = stores

    async def reap_objects(self) -> int:
        """Deletes objects until none is due; returns their number."""
        total, absences = 0, Absences()
        for database in self._databases.every():
            for store in self._stores.values():
                with absences.tolerate(store.bucket):
                    while deleted := await self._reap_batch(database, store):
                        total += deleted
        absences.raise_first()
        return total

    async def _reap_batch(self, database: Database, store: BlobStore) -> int:
        """Deletes some objects, without a transaction around the I/O; returns their number."""
        deleted = []
        for row in await database.fetch(Q.due_objects, store.bucket):
            if row["named"]:
                log.error("a pack names an object that waits for deletion", pack=row["key"])
                continue
            await store.delete_object(row["key"])
            deleted.append(row["id"])
        await database.fetch(Q.forget_objects, deleted)
        return len(deleted)
