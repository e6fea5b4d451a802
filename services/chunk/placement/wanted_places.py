"""Finds chunks that are not where repositories want them, and copies that no repository wants."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Mapping
from datetime import timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

from services.chunk.catalog.copy_requests import request_repair
from services.chunk.collection.good_copies import GoodCopies
from services.chunk.packs.live_counts import release_packs
from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.clock import read_clock
from shared.db.pool import Connection, Database

Q = sql.load(__file__)

_PAGE = 2000
_PAUSES = (0.0, 0.05, 0.2, 1.0)


class Trimmed(NamedTuple):
    """Home copies that moved, copies that were dropped, and packs that are empty now with their bytes."""

    moved: int = 0
    dropped: int = 0
    freed_packs: int = 0
    freed_bytes: int = 0


async def queue_missing_copies(
    database: Database, repository_id: UUID | None
) -> AsyncGenerator[int, None]:
    """Queues copies that repositories, or one, want and that are not there; yields how many, page by page.

    Of one repository, whose regions have changed, all chunks are queued: what is there already leaves the
    queue soon, and no answer tells that another repository has brought it there.
    """
    for row in await database.fetch(Q.list_repositories, repository_id):
        position: str | None = ""
        now = await read_clock(database)
        while position is not None:
            [page] = await database.statement(
                *Q.bind.queue_page(
                    repository_id=row["repo_id"],
                    hash=position,
                    due_at=now,
                    count=_PAGE,
                    all=repository_id is not None,
                )
            )
            position = page["last"]
            yield page["count"]


async def drop_unwanted_copies(
    database: Database,
    stores: Mapping[str, BlobStore],
    repository_id: UUID | None,
    reader_grace: timedelta,
) -> AsyncGenerator[Trimmed, None]:
    """Drops copies of chunks, of one repository or of all, where no repository wants them.

    One copy of each chunk stays in any case, and one that stays is read before: `stores`, by the names of
    their buckets, have it. Yields what was dropped, page by page; and has damaged packs repaired.
    """
    position = ""
    while rows := await database.fetch(Q.list_copied_chunks, repository_id, position, _PAGE):
        hashes = [row["chunk_hash"] for row in rows]
        position = hashes[-1]
        kept = await database.fetch(Q.kept_regions, hashes)
        regions = {bytes.fromhex(row["hash"]): row["regions"] for row in kept}
        copies = GoodCopies(database, stores)
        intact = await copies.find_intact(regions.keys(), regions)
        proven = {digest.hex(): regions[digest] for digest in intact}
        trimmed = await trim_copies(database, proven, reader_grace)
        # Not before: a repair locks all chunks of its pack.
        for _, pack_key in copies.damaged:
            await request_repair(database, pack_key)
        yield trimmed


async def trim_copies(
    database: Database, proven: Mapping[str, Collection[str]], reader_grace: timedelta
) -> Trimmed:
    """Moves home copies of chunks to where they are wanted, and drops copies that nobody wants.

    `proven` names for each chunk regions in one of which it was just found intact; all of them keep it.
    Chunks that somebody else holds, as a job that copies does for a moment, are tried again some times.
    """
    trimmed, left = Trimmed(), proven
    for pause in _PAUSES:
        if not left:
            break
        await asyncio.sleep(pause)
        work = partial(_trim, proven=left, reader_grace=reader_grace)
        held, done = await database.transaction(work)
        trimmed = Trimmed(*map(sum, zip(trimmed, done, strict=True)))
        left = {name: regions for name, regions in left.items() if name not in held}
    return trimmed


async def _trim(
    connection: Connection, proven: Mapping[str, Collection[str]], reader_grace: timedelta
) -> tuple[set[str], Trimmed]:
    """Returns which chunks could be held, and what was done to their copies."""
    rows = await connection.fetch(Q.hold_chunks, list(proven))
    held = {row["hash"] for row in rows}
    return held, await _trim_held(connection, held, proven, reader_grace)


async def _trim_held(
    connection: Connection,
    chunks: Collection[str],
    proven: Mapping[str, Collection[str]],
    reader_grace: timedelta,
) -> Trimmed:
    kept = await connection.fetch(Q.kept_regions, list(chunks))
    held = [row["hash"] for row in kept if set(row["regions"]).issuperset(proven[row["hash"]])]
    moved = await connection.fetch(Q.move_homes, held)
    dropped = await connection.fetch(Q.drop_copies, held)
    counts = Counter[str]()
    for row in [*moved, *dropped]:
        counts[row["pack_key"]] += row["count"]
    if not counts:
        return Trimmed()
    freed = await release_packs(connection, counts, reader_grace)
    return Trimmed(
        sum(row["count"] for row in moved),
        sum(row["count"] for row in dropped),
        freed.packs,
        freed.bytes,
    )
