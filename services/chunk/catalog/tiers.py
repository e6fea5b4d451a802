"""How repositories may read their chunks, and where they want them to lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection, Databases
from shared.records.ownership import require_unchanged
from shared.rpc.call import Call

Q = sql.load(__file__)


class ColdChunks(NamedTuple):
    """Chunks of a repository: hashes, bytes as it sent them, and the coldest of their classes."""

    digests: frozenset[bytes]
    stored_bytes: int
    coldest: str


class Tiers:
    """The classes of references."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    async def find_archived(self, repository_id: UUID, digests: Sequence[bytes]) -> ColdChunks:
        """Returns those chunks that the repository has to restore before it reads them."""
        return await self._find(Q.archived_chunks, repository_id, digests)

    async def find_cold(self, repository_id: UUID, digests: Sequence[bytes]) -> ColdChunks:
        """Returns those chunks that are not hot for the repository, restored or not."""
        return await self._find(Q.cold_chunks, repository_id, digests)

    async def cool_chunks(self, call: Call, digests: Sequence[bytes], storage_class: str) -> int:
        """Makes a call's repository want chunks in a class, where it had them hotter; returns how many.

        Raises CONTENTION.
        """
        repository_id = call.repository.id

        async def cool(connection: Connection) -> int:
            await require_unchanged(connection, call)
            count: int = await connection.fetchval(
                Q.cool_chunks, repository_id, _pack(digests), storage_class
            )
            return count

        return await self._databases.of(repository_id).transaction(cool)

    async def _find(self, query: str, repository_id: UUID, digests: Sequence[bytes]) -> ColdChunks:
        database = self._databases.of(repository_id)
        rows = await database.fetch(query, repository_id, _pack(digests))
        coldest = max((row["rank"], row["storage_class"]) for row in rows)[1] if rows else ""
        found = frozenset(row["digest"] for row in rows)
        return ColdChunks(found, sum(row["stored_size"] for row in rows), coldest)


def _pack(digests: Sequence[bytes]) -> bytes:
    return b"".join(dict.fromkeys(digests))
