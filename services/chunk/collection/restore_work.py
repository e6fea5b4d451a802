"""The work of a restore: asks the stores for the packs, and says when they can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import timedelta
from functools import partial
from itertools import groupby
from uuid import UUID

import structlog

from services.chunk.collection.scrub import Scrub
from services.chunk.collection.tier_moves import Misplaced, TierMoves, parse_chunk
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.blob_store import BlobMissing, BlobStore
from shared.db import sql
from shared.db.pool import Connection, Database, Row, Work
from shared.formats.canonical import split_hashes
from shared.jobs.running_job import RetryLater

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

# How often it is looked whether a store is ready that takes longer than it was expected to.
LATE = timedelta(minutes=1)
# The store keeps what is restored a little longer than it was promised.
_MARGIN = timedelta(days=1)


class RestoreWork:
    """Restores chunks, attempt by attempt."""

    def __init__(
        self,
        places: Mapping[str, BlobStore],
        writer: PackWriter,
        pack_bytes: int,
        keep: timedelta,
    ) -> None:
        """`keep`: how long a restored chunk can be read."""
        self._places = places
        self._writer = writer
        self._pack_bytes = pack_bytes
        self._keep = keep
        self._scrub = Scrub(places, writer)

    async def restore(self, database: Database, restore_id: UUID) -> int:
        """Returns how many chunks can be read now. Raises RetryLater until they can be."""
        row = await database.fetchrow(Q.get_work, restore_id)
        if row is None or row["restored_at"] is not None:
            return 0
        hashes = [digest.hex() for digest in split_hashes(row["hashes"])]
        asked, waiting = await self._ask_stores(database, row["repo_id"], hashes)
        # Never sooner than was said, though some may be hot because others want them so: that is not told.
        if row["left"] > timedelta(0):
            raise RetryLater("the store makes them readable, which takes so long", row["left"])
        if waiting:
            raise RetryLater(f"the store has still to restore {waiting:,} packs", LATE)
        count = 0
        if row["is_permanent"]:
            asked, count = await self._warm(database, row["repo_id"], hashes)
        work = partial(self._finish, row=row, restore_id=restore_id, hashes=hashes, asked=asked)
        return count + await database.transaction(work)

    async def _ask_stores(
        self, database: Database, repository_id: UUID, hashes: Sequence[str]
    ) -> tuple[set[str], int]:
        """Asks for the packs of the chunks in archives; returns these, and how many cannot be read yet."""
        asked, waiting = set(), 0
        for row in await database.fetch(Q.archived_packs, repository_id, hashes):
            bucket, key = row["storage_bucket"], row["pack_key"]
            store = self._find_place(bucket)
            asked.add(key)
            # What is not there is lost, and nothing to wait for.
            with suppress(BlobMissing):
                await store.begin_restore(key, self._keep + _MARGIN)
                waiting += not await store.is_restored(key)
        return asked, waiting

    def _find_place(self, bucket: str) -> BlobStore:
        """Returns a place. Raises RetryLater if only other workers know it."""
        if bucket not in self._places:
            log.error("a region that stores and tiers do not name", bucket=bucket)
            raise RetryLater(f"stores and tiers of this worker do not name {bucket}", LATE)
        return self._places[bucket]

    async def _warm(
        self, database: Database, repository_id: UUID, hashes: Sequence[str]
    ) -> tuple[set[str], int]:
        """Copies the chunks to where hot ones lie; returns the packs that it tried, and how many are hot.

        What is damaged is healed or noted as lost: no scrub reads archives.
        """
        cold = await database.fetch(Q.cold_chunks, repository_id, hashes)
        warm = partial(_warm_references, repository_id=repository_id, hashes=hashes)
        count = await self._move(database, cold, warm)
        left = await database.fetch(Q.cold_chunks, repository_id, hashes)
        for key in sorted({row["pack_key"] for row in left}):
            await self._scrub.verify_pack(database, key)
        return {row["pack_key"] for row in cold}, count

    async def _move(self, database: Database, rows: Sequence[Row], warm: Work[int]) -> int:
        """Moves chunks; does `warm` after each pack, lest a policy takes them back, and returns its sum."""
        runs = groupby(sorted(rows, key=_place), key=_place)
        found = [
            Misplaced(self._find_place(bucket).region, bucket, key, sorted(map(parse_chunk, run)))
            for (bucket, key), run in runs
        ]
        count = 0
        moves = TierMoves(self._places, self._writer, self._pack_bytes, is_cooling=False)
        try:
            for steps in (moves.move_chunks(database, found), moves.finish()):
                async with aclosing(steps) as packs:
                    async for _ in packs:
                        count += await database.transaction(warm)
        finally:
            await moves.abandon()
        moves.absences.raise_first()
        return count

    async def _finish(
        self,
        connection: Connection,
        *,
        row: Row,
        restore_id: UUID,
        hashes: Sequence[str],
        asked: set[str],
    ) -> int:
        if row["is_permanent"]:
            count: int = await _warm_references(connection, row["repo_id"], hashes)
            if left := await connection.fetch(Q.cold_chunks, row["repo_id"], hashes):
                # At once where somebody else has moved them, and not where they cannot be read.
                is_new = asked.isdisjoint(each["pack_key"] for each in left)
                raise RetryLater(
                    f"{len(left):,} chunks are still to be moved", timedelta(0) if is_new else LATE
                )
            await connection.execute(Q.end_restore, restore_id, None)
            return count
        await connection.execute(Q.hold_chunks, hashes)
        packs = await connection.fetch(Q.archived_packs, row["repo_id"], hashes)
        if not asked.issuperset(each["pack_key"] for each in packs):
            raise RetryLater("chunks have moved meanwhile", timedelta(0))
        count = await connection.fetchval(Q.note_restored, row["repo_id"], hashes, self._keep)
        await connection.execute(Q.end_restore, restore_id, self._keep)
        return count


async def _warm_references(
    connection: Connection, repository_id: UUID, hashes: Sequence[str]
) -> int:
    """Makes those of the chunks hot for a repository that lie where hot ones do; returns how many."""
    await connection.execute(Q.hold_chunks, hashes)
    count: int = await connection.fetchval(Q.warm_references, repository_id, hashes)
    return count


def _place(row: Row) -> tuple[str, str]:
    return row["storage_bucket"], row["pack_key"]
