"""Finds chunks that are not where repositories want them, and copies that no repository wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

from services.chunk.packs.live_counts import release_packs
from shared.db import sql
from shared.db.pool import Connection, Database

Q = sql.load(__file__)

_PAGE = 2000


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
        [clock] = await database.fetch(Q.read_clock)
        while position is not None:
            [page] = await database.statement(
                *Q.bind.queue_page(
                    repository_id=row["repo_id"],
                    hash=position,
                    due_at=clock[0],
                    count=_PAGE,
                    all=repository_id is not None,
                )
            )
            position = page["last"]
            yield page["count"]


async def drop_unwanted_copies(
    database: Database, repository_id: UUID | None, reader_grace: timedelta
) -> AsyncGenerator[Trimmed, None]:
    """Drops copies of chunks, of one repository or of all, where no repository wants them.

    One copy of each chunk stays in any case. Yields what was dropped, page by page.
    """
    position = ""
    while rows := await database.fetch(Q.list_copied_chunks, repository_id, position, _PAGE):
        hashes = [row["chunk_hash"] for row in rows]
        position = hashes[-1]
        yield await trim_copies(database, hashes, reader_grace)


async def trim_copies(
    database: Database, hashes: Sequence[str], reader_grace: timedelta
) -> Trimmed:
    """Moves home copies of chunks to where they are wanted, and drops copies that nobody wants."""
    if not hashes:
        return Trimmed()
    return await database.transaction(partial(_trim, hashes=hashes, reader_grace=reader_grace))


async def _trim(connection: Connection, hashes: Sequence[str], reader_grace: timedelta) -> Trimmed:
    held = [row["hash"] for row in await connection.fetch(Q.hold_chunks, hashes)]
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
