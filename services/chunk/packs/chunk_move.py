"""The transaction that moves chunks into a new pack of their region, for compaction and healing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from services.chunk.packs.live_counts import release_packs
from services.chunk.packs.pack import Pack
from services.chunk.packs.pack_sealing import end_pack, hold_open_pack
from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.pool import Connection, Row

Q = sql.load(__file__)


class MovedChunks(NamedTuple):
    """Chunks that were moved, their stored bytes, and the packs in which no chunk is any more."""

    chunks: int
    bytes: int
    freed_packs: int


class ChunkMove:
    """The transaction for one new pack."""

    def __init__(
        self,
        pack: Pack,
        store: BlobStore,
        old_keys: Mapping[bytes, str],
        reader_grace: timedelta,
        *,
        is_cooling: bool,
    ) -> None:
        """`old_keys`: the pack that each chunk of the new pack was copied from.

        `is_cooling`: what a repository wants hotter than `store` is stays where it is.
        """
        self._pack = pack
        self._store = store
        self._is_cooling = is_cooling
        self._hashes = [digest.hex() for digest in pack.entries]
        self._old_keys = old_keys
        self._reader_grace = reader_grace
        self._moved = MovedChunks(0, 0, 0)

    async def apply_steps(self, connection: Connection) -> MovedChunks:
        """Moves the chunks; can be repeated, and finds out if it succeeded before."""
        if not await hold_open_pack(connection, self._pack):
            return self._moved
        await connection.execute(Q.hold_chunks, self._hashes)
        rows = await self._move_rows(connection, await self._choose(connection))
        counts = Counter[str]()
        for row in rows:
            counts[row["old_key"]] += row["count"]
        count = counts.total()
        await end_pack(connection, self._pack, count, ",".join(self._hashes))
        freed = await release_packs(connection, counts, self._reader_grace)
        self._moved = MovedChunks(count, sum(row["bytes"] for row in rows), freed.packs)
        return self._moved

    async def _choose(self, connection: Connection) -> Sequence[bytes]:
        """Returns the chunks, which are locked, that may go to the new pack."""
        if not self._is_cooling:
            return list(self._pack.entries)
        storage_class = self._store.storage_class
        rows = await connection.fetch(Q.leave_wanted, self._hashes, storage_class)
        return [bytes.fromhex(row["hash"]) for row in rows]

    async def _move_rows(self, connection: Connection, digests: Sequence[bytes]) -> Sequence[Row]:
        """Moves home copies and copies; returns how many of each left each old pack, and their bytes."""
        entries = [self._pack.entries[digest] for digest in digests]
        columns = {
            "pack_key": self._pack.key,
            "bucket": self._store.bucket,
            "hashes": [digest.hex() for digest in digests],
            "old_keys": [self._old_keys[digest] for digest in digests],
            "offsets": [entry.offset for entry in entries],
            "lengths": [entry.length for entry in entries],
        }
        storage_class = self._store.storage_class
        moved = await connection.fetch(*Q.bind.move_chunks(**columns, storage_class=storage_class))
        return [*moved, *await connection.fetch(*Q.bind.move_copies(**columns))]
