"""Verifies what is stored: heals what is damaged from another copy, and notes what is lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import structlog

from services.chunk.collection.good_copies import GoodCopies, PackPlace
from services.chunk.collection.stored_chunks import StoredChunk, list_chunks, read_chunks
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.absences import Absences
from services.chunk.stores.blob_store import BlobFrozen, BlobStore, find_writable, is_archive
from services.chunk.stores.meant_stores import not_named, require_meant
from shared.db import sql
from shared.db.pool import Connection, Database

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

_BATCH = 100
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Scrubbed(NamedTuple):
    """What was found in a pack: chunks that were read, their stored bytes, and what became of bad ones."""

    chunks: int
    bytes: int
    healed: int
    lost: int


class Scrub:
    """Verifies packs of all stores."""

    def __init__(self, stores: Mapping[str, BlobStore], writer: PackWriter) -> None:
        self._stores = stores
        self._writer = writer
        # What lies in an archive cannot be read, unless it is restored.
        self._archives = [name for name, each in stores.items() if is_archive(each.storage_class)]

    async def verify_due_packs(
        self, database: Database, period: timedelta
    ) -> AsyncGenerator[Scrubbed, None]:
        """Verifies packs that were not verified for `period`; 0 = all. Yields what was found in each."""
        [row] = await database.fetch(Q.count_packs)
        due = row["time"] - period
        position, key, absences = _BEGINNING, "", Absences()
        while packs := await database.fetch(
            *Q.bind.packs_to_verify(
                due=due, position=position, key=key, count=_BATCH, without=self._archives
            )
        ):
            for pack in packs:
                found = None
                if pack["bucket"] not in absences.buckets:
                    with absences.tolerate(pack["bucket"]):
                        found = await self._verify(database, pack["bucket"], pack["key"])
                if found is not None:
                    yield found
            position, key = packs[-1]["verified_at"], packs[-1]["key"]
        absences.raise_first()

    async def verify_pack(self, database: Database, pack_key: str) -> Scrubbed:
        """Verifies one pack, and returns what was found; nothing if it is gone.

        Raises DEPENDENCY_UNAVAILABLE if its store is away, or if only other processes know it.
        """
        row = await database.fetchrow(Q.sealed_pack, pack_key)
        if row is None:
            return Scrubbed(0, 0, 0, 0)
        return await self._verify(database, row["bucket"], pack_key)

    async def _verify(self, database: Database, bucket: str, pack_key: str) -> Scrubbed:
        if bucket not in self._stores:
            raise not_named(bucket)
        chunks = await list_chunks(database, pack_key)
        good: list[StoredChunk] = []
        bad: list[StoredChunk] = []
        try:
            async with aclosing(read_chunks(self._stores, bucket, pack_key, chunks)) as groups:
                async for group in groups:
                    for stored, chunk in group:
                        (good if chunk else bad).append(stored)
        except BlobFrozen:
            log.warning("a pack in an archive cannot be verified", bucket=bucket, pack=pack_key)
            return Scrubbed(0, 0, 0, 0)
        if found := [each for each in good if each.is_lost and each.is_home]:
            await self._mark(database, Q.mark_found, pack_key, found)
        healed = lost = 0
        if bad:
            healed, lost = await self._treat_damage(database, bucket, pack_key, bad)
        else:
            await database.statement(Q.note_verified, pack_key)
        stored_bytes = sum(each.length for each in chunks)
        return Scrubbed(len(chunks), stored_bytes, healed, lost)

    async def _treat_damage(
        self, database: Database, bucket: str, pack_key: str, bad: Sequence[StoredChunk]
    ) -> tuple[int, int]:
        """Heals damaged chunks of a pack, or marks them; returns how many are healed and newly lost."""
        # In one that was given up, nothing is missing.
        await require_meant(database, self._stores[bucket])
        for each in bad:
            log.error("chunk corrupt", hash=each.digest.hex(), bucket=bucket, pack=pack_key)
        copies = GoodCopies(database, self._stores)
        healed = await self._heal(database, copies, (bucket, pack_key), bad)
        # What may lie intact in a store that is away is not lost: this pack is verified again.
        known = healed | copies.absent
        lost = [each for each in bad if each.is_home and each.digest not in known]
        return len(healed), len(await self._mark(database, Q.mark_lost, pack_key, lost))

    async def _heal(
        self, database: Database, copies: GoodCopies, place: PackPlace, bad: Sequence[StoredChunk]
    ) -> set[bytes]:
        """Stores damaged chunks again of which there is a good copy elsewhere; returns their digests."""
        bucket, pack_key = place
        writer = self._writer.for_store(find_writable(self._stores, bucket))
        pack = writer.begin_pack_in(database)
        digests = {each.digest for each in bad}
        try:
            async with aclosing(copies.read_chunks(digests, without=place)) as groups:
                async for good in groups:
                    await writer.append_chunks(pack, good)
        except BaseException:
            await writer.abandon_pack(pack)
            raise
        await writer.finalize_moves(pack, dict.fromkeys(pack.entries, pack_key))
        return set(pack.entries)

    async def _mark(
        self, database: Database, query: str, pack_key: str, chunks: Sequence[StoredChunk]
    ) -> list[str]:
        """Marks chunks that still lie in the pack; returns the hashes of those that were not marked so."""
        hashes = [each.digest.hex() for each in chunks]
        return await database.transaction(
            partial(_mark_chunks, query=query, hashes=hashes, pack_key=pack_key)
        )


async def _mark_chunks(
    connection: Connection, query: str, hashes: Sequence[str], pack_key: str
) -> list[str]:
    await connection.execute(Q.hold_chunks, hashes)
    marked = [row["hash"] for row in await connection.fetch(query, hashes, pack_key)]
    if marked and query == Q.mark_lost:
        await connection.execute(Q.announce_lost, marked)
    return marked
