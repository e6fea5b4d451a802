"""The sweep of claims: what was uploaded and never pushed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection, Database

Q = sql.load(__file__)

# How many claims one transaction drops at most.
BATCH = 4000
_BEGINNING = UUID(int=0), datetime.min.replace(tzinfo=UTC)


class ClaimSweep:
    """Drops the claims that ended before a time."""

    def __init__(self, grace: timedelta) -> None:
        """`grace`: how long a chunk is kept after its last reference."""
        self._grace = grace

    async def drop_claims(self, database: Database, ended: datetime) -> AsyncGenerator[int, None]:
        """Drops the claims that were last renewed before `ended`; yields how many each transaction dropped.

        A claim that another transaction has locked is left to the next sweep.
        """
        position = _BEGINNING
        while True:
            row = await database.fetchrow(Q.ended_claims, ended, *position, BATCH)
            if row is None or not row["count"]:
                return
            dropped = await database.transaction(
                partial(self._drop_batch, hashes=row["hashes"], ended=ended)
            )
            yield dropped
            last = row["last_repo_id"], row["last_claimed_at"]
            if row["count"] < BATCH or (not dropped and last == position):
                return
            position = last

    async def _drop_batch(
        self, connection: Connection, hashes: Sequence[str], ended: datetime
    ) -> int:
        held = [row["hash"] for row in await connection.fetch(Q.hold_chunks, hashes)]
        rows = await connection.fetch(Q.drop_claims, held, ended)
        counts = {row["chunk_hash"]: row["count"] for row in rows}
        await connection.execute(
            Q.subtract_references, list(counts), list(counts.values()), self._grace
        )
        return sum(counts.values())
