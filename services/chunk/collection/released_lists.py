"""Chunk lists of large files that no history has any more: read from their recipes, and released."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from functools import partial
from uuid import UUID

import asyncpg
import structlog
from dits.common.v1.job_pb2 import RecountStatisticsPayload

from services.chunk.collection.consistency import read_contents
from services.chunk.stores.absences import Absences
from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.formats.canonical import FormatError, split_hashes
from shared.formats.recipes import decode_recipe
from shared.jobs.queue import enqueue

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

# Recipes that are read at once, and chunks that one statement releases.
RECIPES = 20
BATCH = 10_000
# A recipe that is none, and counters that have drifted.
_DEFECTS = (
    FormatError,
    asyncpg.CardinalityViolationError,
    asyncpg.IntegrityConstraintViolationError,
)


class ReleasedLists:
    """Releases the chunks of large files that are gone."""

    def __init__(self, stores: Mapping[str, BlobStore]) -> None:
        self._stores = stores

    async def release_chunks(self, database: Database) -> AsyncGenerator[int, None]:
        """Releases the chunks of each list; yields how many. A list that cannot be released now stays."""
        last = 0
        while row := await database.fetchrow(Q.next_list, last):
            last, repository_id = row["id"], row["repo_id"]
            recipes = list(dict.fromkeys(split_hashes(row["recipe_hashes"])))
            try:
                yield await self._release_list(database, last, repository_id, recipes)
            except _DEFECTS as error:
                # Nobody's damage keeps the garbage of others.
                log.error(  # noqa: TRY400  what is wrong is in the database, not in the code here
                    "list not released",
                    repository=str(repository_id),
                    released_list=last,
                    cause=repr(error),
                )

    async def _release_list(
        self, database: Database, id_: int, repository_id: UUID, recipes: list[bytes]
    ) -> int:
        chunks, absences = None, Absences()
        with absences.tolerate("unknown"):
            chunks = await self.read_lists(database, repository_id, recipes)
        if absences.buckets:
            return 0
        if chunks is None:
            log.error("recipe lost", repository=str(repository_id), released_list=id_)
            return 0
        work = partial(_release, id_=id_, repository_id=repository_id, chunks=chunks)
        return await database.transaction(work)

    async def read_lists(
        self, database: Database, repository_id: UUID, recipes: list[bytes]
    ) -> set[bytes] | None:
        """Returns recipes and all chunks that are in them; None if one cannot be read."""
        chunks = set(recipes)
        for at in range(0, len(recipes), RECIPES):
            some = recipes[at : at + RECIPES]
            contents = await read_contents(database, self._stores, repository_id, some)
            if len(contents) < len(some):
                return None
            chunks |= await asyncio.to_thread(_list_chunks, contents.values())
        return chunks


def _list_chunks(recipes: Iterable[bytes]) -> set[bytes]:
    return {chunk for each in recipes for chunk in split_hashes(decode_recipe(each).chunk_hashes)}


async def _release(
    connection: Connection, id_: int, repository_id: UUID, chunks: set[bytes]
) -> int:
    """Releases the chunks of a list, unless somebody has, or the repository is deleted."""
    if await connection.fetchrow(Q.hold_repository, repository_id) is None:
        return 0
    if await connection.fetchrow(Q.delete_list, id_) is None:
        return 0
    hashes = await asyncio.to_thread(lambda: sorted(chunk.hex() for chunk in chunks))
    for at in range(0, len(hashes), BATCH):
        await connection.execute(Q.release_chunks, repository_id, hashes[at : at + BATCH])
    # What the repository occupies is counted again.
    payload = RecountStatisticsPayload(repository_id=str(repository_id))
    await enqueue(connection, payload, dedup_key=f"released {repository_id}")
    return len(hashes)
