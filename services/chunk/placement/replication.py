"""Copies chunks into the regions in which repositories want them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial

from services.chunk.collection.good_copies import GoodCopies
from services.chunk.packs.content import Chunk
from services.chunk.packs.copy_placement import PlacedCopies, settle_copies
from services.chunk.packs.pack import MAX_CHUNKS, Pack
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.clock import read_clock
from shared.db.pool import Database

Q = sql.load(__file__)

# Entries of the queue that are looked at together.
_PAGE = 2000
_BEGINNING = datetime.min.replace(tzinfo=UTC)


async def has_due_copies(database: Database, regions: Sequence[str]) -> bool:
    """Returns whether a copy is due in one of the regions."""
    [row] = await database.fetch(Q.has_due, regions)
    return bool(row[0])


class Replication:
    """Makes the copies that are due in one region. May be stopped at any time, and begun again.

    Attributes:
        copies: the search for their bytes; it knows what was damaged.
    """

    def __init__(
        self,
        database: Database,
        stores: Mapping[str, BlobStore],
        target: BlobStore,
        writer: PackWriter,
        pack_bytes: int,
    ) -> None:
        """`stores`: by the names of their buckets, the nearest first. `writer` writes into `target`."""
        self._database = database
        self._region = target.region
        self._writer = writer
        self._pack_bytes = pack_bytes
        self.copies = GoodCopies(database, stores)

    async def copy_due_chunks(self) -> AsyncGenerator[PlacedCopies, None]:
        """Copies what is due now; yields what each pack of copies, and each look at the queue, has done.

        What cannot be read now stays in the queue.
        """
        until, position = await read_clock(self._database), (_BEGINNING, "")
        pack = self._begin_pack()
        try:
            while rows := await self._database.fetch(
                *Q.bind.list_due(
                    region=self._region,
                    until=until,
                    due_at=position[0],
                    hash=position[1],
                    count=_PAGE,
                )
            ):
                position = rows[-1]["due_at"], rows[-1]["chunk_hash"]
                hashes = [row["chunk_hash"] for row in rows]
                yield PlacedCopies(settled=await self._settle(hashes))
                left = await self._database.fetch(Q.left_copies, self._region, hashes)
                digests = {bytes.fromhex(row["hash"]) for row in left} - pack.entries.keys()
                async with aclosing(self.copies.read_chunks(digests)) as groups:
                    async for good in groups:
                        if self._is_full(pack, good):
                            yield await self._writer.finalize_copies(pack)
                            pack = self._begin_pack()
                        await self._writer.append_chunks(pack, good)
            yield await self._writer.finalize_copies(pack)
        except BaseException:
            await self._writer.abandon_pack(pack)
            raise

    async def count_waiting(self) -> int:
        """Returns how many entries of the queue are due."""
        now = await read_clock(self._database)
        [count] = await self._database.fetch(Q.count_due, self._region, now)
        return int(count[0])

    async def _settle(self, hashes: Sequence[str]) -> int:
        """Takes what is there already, or not wanted any more, out of the queue."""
        work = partial(settle_copies, region=self._region, hashes=hashes)
        return await self._database.transaction(work)

    def _begin_pack(self) -> Pack:
        return self._writer.begin_pack_in(self._database)

    def _is_full(self, pack: Pack, chunks: Sequence[Chunk]) -> bool:
        length = sum(len(chunk.data) for chunk in chunks)
        return bool(pack.entries) and (
            pack.length + length > self._pack_bytes or len(pack.entries) + len(chunks) > MAX_CHUNKS
        )
