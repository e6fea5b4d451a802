"""Brings everything that lies in a region into another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence, Set
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from services.chunk.collection.good_copies import GoodCopies
from services.chunk.collection.stored_chunks import list_chunks
from services.chunk.packs.live_counts import release_packs
from services.chunk.packs.pack import MAX_CHUNKS, Pack
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.pool import Connection, Database

Q = sql.load(__file__)

_PAGE = 1000


class Evacuated(NamedTuple):
    """Chunks whose home left the region, their stored bytes, and copies that were dropped there."""

    chunks: int
    bytes: int
    copies: int


NOTHING = Evacuated(0, 0, 0)


class Remains(NamedTuple):
    """What is left in a region: packs, and objects that wait for their deletion."""

    packs: int
    objects: int


async def count_wanting(database: Database, region: str) -> int:
    """Returns how many repositories want their chunks in a region."""
    [row] = await database.fetch(Q.count_wanting, region)
    return int(row[0])


class Evacuation:
    """Empties a region. May be stopped at any time, and begun again.

    Attributes:
        frozen_packs: packs in archives, there or elsewhere, that the last run has asked for.
    """

    def __init__(
        self,
        database: Database,
        stores: Mapping[str, BlobStore],
        writer: PackWriter,
        *,
        pack_bytes: int,
        reader_grace: timedelta,
    ) -> None:
        """`stores`: by the names of their buckets, the nearest first."""
        self._database = database
        self._stores = stores
        self._writer = writer
        self._pack_bytes = pack_bytes
        self._reader_grace = reader_grace
        self.frozen_packs = 0

    async def move_chunks(self, source: str, target: str) -> AsyncGenerator[Evacuated, None]:
        """Moves chunks to another region, or to where they have a copy; yields what each pack has moved.

        A copy is read before it replaces what lies here. Chunks without intact bytes stay.
        """
        position, self.frozen_packs = "", 0
        writer = self._writer.for_store(self._stores[target])
        pack, waiting = writer.begin_pack_in(self._database), list[str]()
        try:
            while rows := await self._database.fetch(Q.list_packs, source, position, _PAGE):
                for row in rows:
                    chunks = await list_chunks(self._database, row["key"])
                    length = sum(each.length for each in chunks)
                    if waiting and (
                        pack.length + length > self._pack_bytes
                        or len(waiting) + len(chunks) > MAX_CHUNKS
                    ):
                        await writer.finalize_copies(pack)
                        yield await self._leave(waiting, source, target)
                        pack, waiting = writer.begin_pack_in(self._database), []
                    digests = {each.digest for each in chunks if not each.is_lost}
                    able = await self._secure(writer, pack, source, digests)
                    waiting += [digest.hex() for digest in able]
                position = rows[-1]["key"]
            await writer.finalize_copies(pack)
            yield await self._leave(waiting, source, target)
        except BaseException:
            await writer.abandon_pack(pack)
            raise

    async def count_left(self, region: str) -> Remains:
        """Returns what is left in a region."""
        [row] = await self._database.fetch(Q.count_left, region)
        return Remains(row["packs"], row["objects"])

    async def forget_region(self, region: str) -> bool:
        """Notes that a region is none any more if nothing is left there; returns whether it is so."""

        async def forget(connection: Connection) -> bool:
            await connection.execute(Q.hold_regions)
            return bool(await connection.fetch(Q.forget_region, region))

        return await self._database.transaction(forget)

    async def _secure(
        self, writer: PackWriter, pack: Pack, source: str, digests: Set[bytes]
    ) -> set[bytes]:
        """Returns those chunks that may leave: an intact copy is elsewhere, or in the new pack now."""
        elsewhere = {n: each for n, each in self._stores.items() if each.region != source}
        others, copies = (GoodCopies(self._database, each) for each in (elsewhere, self._stores))
        able = await others.find_intact(digests)
        rows = await self._database.fetch(Q.without_copies, [each.hex() for each in digests - able])
        alone = {bytes.fromhex(row["hash"]) for row in rows}
        async with aclosing(copies.read_chunks(alone)) as groups:
            async for good in groups:
                await writer.append_chunks(pack, good)
                able.update(chunk.digest for chunk in good)
        self.frozen_packs += len(others.frozen | copies.frozen)
        return able

    async def _leave(self, hashes: Sequence[str], source: str, target: str) -> Evacuated:
        """Makes other copies of chunks their homes, and drops those in the region."""
        left = []
        for at in range(0, len(hashes), MAX_CHUNKS):
            batch = hashes[at : at + MAX_CHUNKS]
            work = partial(self._leave_batch, hashes=batch, source=source, target=target)
            left.append(await self._database.transaction(work))
        return Evacuated(*(sum(column) for column in zip(*left, strict=True))) if left else NOTHING

    async def _leave_batch(
        self, connection: Connection, hashes: Sequence[str], source: str, target: str
    ) -> Evacuated:
        held = [row["hash"] for row in await connection.fetch(Q.hold_chunks, hashes)]
        homes = await connection.fetch(Q.leave_homes, held, source, target)
        copies = await connection.fetch(Q.drop_copies, held, source)
        counts = Counter[str]()
        for row in [*homes, *copies]:
            counts[row["pack_key"]] += row["count"]
        await release_packs(connection, counts, self._reader_grace)
        return Evacuated(
            sum(row["count"] for row in homes),
            sum(row["bytes"] for row in homes),
            sum(row["count"] for row in copies),
        )
