"""Deletes chunks that no repository refers to, and packs that no chunk is in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import structlog

from services.chunk.packs.live_counts import FreedPacks, release_packs
from shared.db import sql
from shared.db.pool import Connection, Database

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

# How many chunks one transaction deletes at most.
BATCH = 4000
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Deleted(NamedTuple):
    """What one transaction deleted: chunks, their stored bytes, and the packs that nothing names now."""

    chunks: int
    bytes: int
    freed: FreedPacks


class ChunkDeletion:
    """Deletes chunks whose grace ended before a time."""

    def __init__(self, reader_grace: timedelta) -> None:
        """`reader_grace`: how long the object of a dropped pack stays."""
        self._reader_grace = reader_grace

    async def delete_chunks(
        self, database: Database, ended: datetime
    ) -> AsyncGenerator[Deleted, None]:
        """Deletes the chunks whose grace ended before `ended`; yields what each transaction deleted.

        A chunk that another transaction has locked is left to the next run.
        """
        position = _BEGINNING
        while True:
            row = await database.fetchrow(Q.dead_chunks, ended, position, BATCH)
            if row is None or not row["count"]:
                return
            deleted = await database.transaction(
                partial(self._delete_batch, hashes=row["hashes"], ended=ended)
            )
            yield deleted
            if row["count"] < BATCH or (not deleted.chunks and row["last"] == position):
                return
            position = row["last"]

    async def _delete_batch(
        self, connection: Connection, hashes: Sequence[str], ended: datetime
    ) -> Deleted:
        held = {row["hash"] for row in await connection.fetch(Q.hold_dead_chunks, hashes, ended)}
        for row in await connection.fetch(Q.referenced_chunks, list(held)):
            log.error("a chunk without references has some", hash=row["chunk_hash"])
            held.discard(row["chunk_hash"])
        rows = await connection.fetch(Q.delete_chunks, list(held))
        await connection.execute(Q.note_erasures, list(held))
        counts = {row["pack_key"]: row["rows"] for row in rows}
        freed = await release_packs(connection, counts, self._reader_grace)
        return Deleted(sum(row["chunks"] for row in rows), sum(row["bytes"] for row in rows), freed)
