"""Deletes objects that no pack names any more."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from services.chunk.stores.absences import Absences
from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.ownership import renew_stamp
from shared.db import sql
from shared.db.pool import Database, Databases
from shared.errors import DomainError

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

REAP_SECONDS = 60.0
# Objects that are deleted between two looks at who owns the store.
_OWNED_DELETIONS = 100


class ObjectReaper:
    """The reaper of queued objects of every database. Any number of replicas may reap at once."""

    def __init__(self, databases: Databases, stores: Mapping[str, BlobStore], cell: int) -> None:
        """`cell`: that of the databases."""
        self._databases = databases
        self._stores = stores
        self._cell = cell

    async def reap_objects(self) -> int:
        """Deletes objects until none is due; returns their number. Renews what makes the stores ours.

        Where a store is not ours, nothing is deleted, and the error is raised when the others are done.
        """
        total, absences = 0, Absences()
        for database in self._databases.every():
            for store in self._stores.values():
                with absences.tolerate(store.bucket):
                    await renew_stamp(database, store, self._cell)
                    while deleted := await self._reap_batch(database, store):
                        total += deleted
        absences.raise_first()
        return total

    async def _reap_batch(self, database: Database, store: BlobStore) -> int:
        """Deletes some objects, without a transaction around the I/O; returns their number."""
        deleted: list[int] = []
        try:
            await self._delete_objects(database, store, deleted)
        finally:
            await database.fetch(Q.forget_objects, deleted)
        return len(deleted)

    async def _delete_objects(
        self, database: Database, store: BlobStore, deleted: list[int]
    ) -> None:
        """Deletes objects that are due, and appends their entries to `deleted`."""
        for number, row in enumerate(await database.fetch(Q.due_objects, store.bucket)):
            if number % _OWNED_DELETIONS == 0:
                await renew_stamp(database, store, self._cell)
            if row["named"]:
                log.error("a pack names an object that waits for deletion", pack=row["key"])
                continue
            try:
                await store.delete_object(row["key"])
            except DomainError:
                # One that nobody can delete keeps none behind it.
                await database.statement(Q.postpone_object, row["id"])
                raise
            deleted.append(row["id"])
