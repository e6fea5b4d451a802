"""The transactions by which chunks get copies in another region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.chunk.packs.pack import Pack
from services.chunk.packs.pack_sealing import end_pack, hold_open_pack
from shared.db import sql
from shared.db.pool import Connection

Q = sql.load(__file__)


class PlacedCopies(NamedTuple):
    """What was done about copies.

    Attributes:
        chunks, bytes: copies that were noted, and their stored bytes.
        settled: entries of the queue that are done.
        hashes: the chunks of the pack.
    """

    chunks: int = 0
    bytes: int = 0
    settled: int = 0
    hashes: Sequence[str] = ()


class CopyPlacement:
    """The transaction for one new pack of copies."""

    def __init__(self, pack: Pack, region: str, bucket: str) -> None:
        self._pack = pack
        self._region = region
        self._bucket = bucket
        self._hashes = [digest.hex() for digest in pack.entries]
        self._placed = PlacedCopies()

    async def apply_steps(self, connection: Connection) -> PlacedCopies:
        """Notes the copies; can be repeated, and finds out if it succeeded before."""
        key = self._pack.key
        if not await hold_open_pack(connection, self._pack):
            return self._placed
        await connection.execute(Q.hold_chunks, self._hashes)
        entries = self._pack.entries.values()
        [row] = await connection.fetch(
            *Q.bind.insert_copies(
                pack_key=key,
                region=self._region,
                bucket=self._bucket,
                hashes=self._hashes,
                compressions=[entry.compression for entry in entries],
                offsets=[entry.offset for entry in entries],
                lengths=[entry.length for entry in entries],
            )
        )
        settled = await connection.fetchval(Q.settle_copies, self._region, self._hashes)
        await end_pack(connection, self._pack, row["count"], ",".join(self._hashes))
        self._placed = PlacedCopies(row["count"], row["bytes"], settled, self._hashes)
        return self._placed


async def settle_copies(connection: Connection, region: str, hashes: Sequence[str]) -> int:
    """Takes chunks out of a region's queue that are there or not wanted there; returns how many went."""
    await connection.execute(Q.hold_chunks, hashes)
    settled: int = await connection.fetchval(Q.settle_copies, region, hashes)
    return settled
