"""Clears away what crashed uploads leave: open packs, and objects that nothing names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import structlog

from services.chunk.stores.local_store import BlobStore
from shared.db import sql
from shared.db.pool import Connection, Database

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

# No upload keeps a pack open for longer than seconds; a stopped process may come back, though.
OPEN_PACK_AGE = timedelta(hours=24)
ROUND_SECONDS = 60.0


class Janitor:
    """The open-pack sweeper and the object reaper. Any number of them may work at the same time."""

    def __init__(
        self,
        database: Database,
        stores: Mapping[str, BlobStore],
        open_pack_age: timedelta = OPEN_PACK_AGE,
    ) -> None:
        self._database = database
        self._stores = stores
        self._open_pack_age = open_pack_age

    async def sweep(self) -> int:
        """Gives up packs that have been open for too long; returns how many."""

        async def work(connection: Connection) -> list[str]:
            rows = await connection.fetch(Q.hold_stale_packs, self._open_pack_age)
            keys = [row["key"] for row in rows]
            await connection.execute(Q.drop_packs, keys)
            return keys

        keys = await self._database.transaction(work)
        for key in keys:
            log.warning("open pack given up", pack=key)
        return len(keys)

    async def reap(self) -> int:
        """Deletes objects that are due, without a transaction around the I/O; returns how many."""
        deleted = 0
        for bucket, store in self._stores.items():
            rows = await self._database.fetch(Q.due_objects, bucket)
            gone = []
            for row in rows:
                if row["named"]:
                    log.error("a pack names an object that waits for deletion", pack=row["key"])
                    continue
                await store.delete(row["key"])
                gone.append(row["id"])
            async with self._database.connection() as connection:
                await connection.execute(Q.forget_objects, gone)
            deleted += len(gone)
        return deleted

    async def clear(self) -> None:
        """Sweeps, and reaps until nothing is due."""
        await self.sweep()
        while await self.reap():
            pass
