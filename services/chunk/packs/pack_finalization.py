"""The transaction that finalizes a pack."""

from __future__ import annotations

from typing import NamedTuple

from services.chunk.catalog.presence import Presence, join_hashes
from services.chunk.packs.pack import Pack
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import not_found, upload_expired

Q = sql.load(__file__)


class StoredChunks(NamedTuple):
    """Chunks that were stored for the first time: their number, and their stored bytes."""

    chunk_count: int
    byte_count: int


class PackFinalization:
    """The finalizing transaction of one pack."""

    def __init__(self, pack: Pack, bucket: str, presence: Presence) -> None:
        self._pack = pack
        self._bucket = bucket
        self._presence = presence
        self._hashes = join_hashes(pack.entries)
        columns = zip(*pack.entries.values(), strict=True)
        self._columns = [",".join(map(str, column)) for column in columns]
        self._stored = StoredChunks(0, 0)

    async def apply_steps(self, connection: Connection) -> StoredChunks:
        """Does steps U1 to U7; can be repeated, and finds out if it succeeded before."""
        key, repository_id = self._pack.key, self._pack.repository_id
        if await connection.fetchrow(Q.hold_repository, repository_id) is None:
            raise not_found("repository", str(repository_id))
        state = await connection.fetchval(Q.hold_pack, key)
        if state == "sealed":
            return self._stored
        if state is None:
            raise upload_expired()
        self._stored = await self._count_chunks(connection)
        if self._stored.chunk_count:
            await connection.execute(Q.seal_pack, key, self._stored.chunk_count, self._pack.length)
        else:
            await connection.execute(Q.drop_unneeded_pack, key)
        return self._stored

    async def _count_chunks(self, connection: Connection) -> StoredChunks:
        """Does steps U3 to U6."""
        repository_id = self._pack.repository_id
        hashes, bytes_ = await self._insert_chunks(connection)
        new = await connection.fetchval(Q.insert_references, repository_id, self._hashes)
        total = len(self._pack.entries)
        if len(hashes) < total and (others := set(new) - set(hashes)):
            await connection.execute(Q.count_references, ",".join(others))
        if len(new) < total:
            await self._presence.renew_claims(connection, repository_id, self._hashes)
        return StoredChunks(len(hashes), bytes_)

    async def _insert_chunks(self, connection: Connection) -> tuple[list[str], int]:
        """Does step U3; returns the hashes of the new chunks, and their stored bytes."""
        sizes, compressions, offsets, lengths = self._columns
        row = await connection.fetchrow(
            *Q.bind.insert_chunks(
                pack_key=self._pack.key,
                bucket=self._bucket,
                hashes=self._hashes,
                sizes=sizes,
                compressions=compressions,
                offsets=offsets,
                lengths=lengths,
            )
        )
        return (row["hashes"], row["bytes"]) if row else ([], 0)
