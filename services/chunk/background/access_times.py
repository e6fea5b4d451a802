"""Stores when chunks were last read."""

from __future__ import annotations

from itertools import islice

from services.chunk.catalog.access_times import AccessTimes
from shared.db import sql
from shared.db.pool import Databases
from shared.rpc.validation import MAX_HASHES

Q = sql.load(__file__)

STORE_SECONDS = 30.0


class AccessTimeStore:
    """Writes times of access to the databases, many at once."""

    def __init__(self, access_times: AccessTimes, databases: Databases) -> None:
        self._access_times = access_times
        self._databases = databases

    async def store_times(self) -> None:
        """Stores which chunks were read since the last call."""
        for repository_id, digests in self._access_times.drain().items():
            database = self._databases.of(repository_id)
            rest = iter(digests)
            while batch := b"".join(islice(rest, MAX_HASHES)):
                await database.statement(Q.record_access, repository_id, batch)
