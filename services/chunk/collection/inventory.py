"""The inventory: objects that no pack names, and packs without their objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import NamedTuple

import structlog

from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.ownership import require_owner
from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

_BATCH = 1000
# An S3 server takes its time for each.
_MEASURED_AT_ONCE = 16


class Objects(NamedTuple):
    """Objects of a store that were looked at, and how many of them were unknown."""

    listed: int
    unknown: int


class Inventory:
    """Compares a store with a database."""

    def __init__(self, store: BlobStore, cell: int, reader_grace: timedelta) -> None:
        """`reader_grace`: how long an unknown object stays: its pack may have been dropped just now."""
        self._store = store
        self._cell = cell
        self._reader_grace = reader_grace

    async def count_unknown_objects(self, database: Database) -> AsyncGenerator[Objects, None]:
        """Yields how many objects no pack names, of some objects at a time, and changes nothing."""
        bucket = self._store.bucket
        async with aclosing(self._store.list_objects(self._cell)) as batches:
            async for keys in batches:
                [row] = await database.fetch(Q.count_unknown_objects, bucket, keys)
                yield Objects(len(keys), row[0])

    async def queue_unknown_objects(self, database: Database) -> AsyncGenerator[int, None]:
        """Queues the objects that no pack names: what reached the store after everybody had given it up.

        Yields how many they are, of some objects at a time. Raises DEPENDENCY_UNAVAILABLE if the store is
        another database's, which knows them.
        """
        bucket = self._store.bucket
        async with aclosing(self._store.list_objects(self._cell)) as batches:
            async for keys in batches:
                await require_owner(database, self._store, self._cell)
                [row] = await database.statement(
                    Q.queue_unknown_objects, bucket, keys, self._reader_grace
                )
                if row[0]:
                    log.warning("objects that no pack names", bucket=bucket, count=row[0])
                yield row[0]

    async def find_incomplete_packs(self, database: Database) -> AsyncGenerator[list[str], None]:
        """Yields the keys of packs whose objects are missing or too short, of some packs at a time."""
        position = ""
        while rows := await database.fetch(Q.list_packs, self._store.bucket, position, _BATCH):
            incomplete = list[str]()
            for start in range(0, len(rows), _MEASURED_AT_ONCE):
                some = rows[start : start + _MEASURED_AT_ONCE]
                sizes = await asyncio.gather(*(self._store.measure_object(r["key"]) for r in some))
                incomplete += [
                    row["key"]
                    for row, size in zip(some, sizes, strict=True)
                    if size is None or size < row["bytes"]
                ]
            # A pack that has gone meanwhile has lost its object rightly.
            yield [row["key"] for row in await database.fetch(Q.sealed_packs, incomplete)]
            position = rows[-1]["key"]
