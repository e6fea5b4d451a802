"""Gives up packs that crashed uploads left open."""

from __future__ import annotations

from datetime import timedelta

import structlog

from shared.db import sql
from shared.db.pool import Connection, Database, Databases

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

SWEEP_SECONDS = 60.0


class OpenPackSweep:
    """The sweep over the open packs of every database. Any number of replicas may sweep at once."""

    def __init__(self, databases: Databases, open_pack_age: timedelta) -> None:
        """`open_pack_age`: an upload keeps a pack open for seconds, but a stopped process may come back."""
        self._databases = databases
        self._open_pack_age = open_pack_age

    async def sweep_packs(self) -> int:
        """Gives up packs that have been open for too long; returns their number."""
        return sum([await self._sweep(database) for database in self._databases.every()])

    async def _sweep(self, database: Database) -> int:
        keys = await database.transaction(self._drop_stale_packs)
        for key in keys:
            log.warning("open pack given up", pack=key)
        return len(keys)

    async def _drop_stale_packs(self, connection: Connection) -> list[str]:
        rows = await connection.fetch(Q.hold_stale_packs, self._open_pack_age)
        keys = [row["key"] for row in rows]
        await connection.execute(Q.drop_packs, keys)
        return keys
