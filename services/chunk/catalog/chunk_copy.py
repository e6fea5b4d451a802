"""Gives a repository the chunks of another one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from services.chunk.catalog.copy_requests import request_copies
from services.chunk.catalog.presence import Presence, join_hashes
from services.chunk.catalog.repository_hold import require_repository
from services.chunk.catalog.storage_quota import settle_storage
from shared.db import sql
from shared.db.pool import Connection, Databases
from shared.records.ownership import require_unchanged
from shared.rpc.call import Call

Q = sql.load(__file__)


class CopiedChunks(NamedTuple):
    """What a copy has done.

    Attributes:
        present: the chunks that the repository has now.
        new: the hashes of those that it did not have.
        new_bytes: their uncompressed bytes.
        additions: how often chunks were added to the repository.
    """

    present: set[bytes]
    new: list[str]
    new_bytes: int
    additions: int


class ChunkCopy:
    """Copies chunks between repositories of one database: it adds references, and moves no bytes."""

    def __init__(self, databases: Databases, presence: Presence) -> None:
        self._databases = databases
        self._presence = presence

    async def copy_chunks(
        self, call: Call, source_id: UUID, digests: Sequence[bytes]
    ) -> CopiedChunks:
        """Copies those of the chunks that the source has. Raises NOT_FOUND, QUOTA_EXCEEDED, CONTENTION."""
        repository_id = call.repository.id
        database = self._databases.of(repository_id)
        hashes = join_hashes(digests)
        work = partial(self._apply_steps, call=call, source_id=source_id, hashes=hashes)
        copied = await database.transaction(work)
        if copied.new:
            self._presence.note_added(repository_id, copied.new, copied.additions)
            await request_copies(database, 0)
        return copied

    async def _apply_steps(
        self, connection: Connection, *, call: Call, source_id: UUID, hashes: str
    ) -> CopiedChunks:
        """Locks and counts as an upload does: U1, U3 to U6."""
        repository_id = call.repository.id
        await require_repository(connection, repository_id)
        await require_unchanged(connection, call)
        rows = await connection.fetch(Q.hold_chunks, source_id, repository_id, hashes)
        locked = [row["hash"] for row in rows]
        rows = await connection.fetch(Q.copy_references, repository_id, source_id, locked)
        new, new_bytes, additions = [row["hash"] for row in rows], sum(r["size"] for r in rows), 0
        if new:
            await connection.execute(Q.count_references, new)
            await settle_storage(connection, repository_id, new_bytes, None)
            additions = await connection.fetchval(Q.count_additions, repository_id)
            await connection.execute(Q.queue_copies, repository_id, new)
        await self._presence.renew_claims(connection, repository_id, hashes)
        held = await connection.fetch(Q.held_chunks, repository_id, hashes)
        return CopiedChunks({row["digest"] for row in held}, new, new_bytes, additions)
