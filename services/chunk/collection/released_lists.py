"""Chunk lists of large files that are gone or obliterated: read from their recipes, and released.

The chunks of a list are released in the order of their hashes, batch by batch, and the recipes last. A run
that is broken off goes on behind the last batch that was committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from uuid import UUID

import asyncpg
import structlog

from services.chunk.catalog.repository_hold import hold_repository
from services.chunk.collection.consistency import read_contents
from services.chunk.stores.absences import Absences
from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.formats.canonical import FormatError, split_hashes
from shared.formats.recipes import decode_recipe
from shared.jobs.recounts import request_recount

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

# Recipes that are read at once, and chunks that one transaction releases.
RECIPES = 20
BATCH = 4_000
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

    def release_chunks(self, database: Database) -> AsyncGenerator[int, None]:
        """Releases the chunks of each list; yields how many each transaction released.

        A list that cannot be released now stays.
        """
        return self._release_lists(database, Q.next_list)

    def erase_chunks(self, database: Database, repository_id: UUID) -> AsyncGenerator[int, None]:
        """Releases those of the obliterated files of a repository; yields how many."""
        return self._release_lists(database, Q.next_erasure, repository_id)

    async def _release_lists(
        self, database: Database, query: str, *arguments: object
    ) -> AsyncGenerator[int, None]:
        last = 0
        while row := await database.fetchrow(query, last, *arguments):
            last = row["id"]
            try:
                async with aclosing(self._release_list(database, row)) as counts:
                    async for count in counts:
                        yield count
            except _DEFECTS as error:
                # Nobody's damage keeps the garbage of others.
                log.error(  # noqa: TRY400  what is wrong is in the database, not in the code here
                    "list not released",
                    repository=str(row["repo_id"]),
                    released_list=row["id"],
                    cause=repr(error),
                )

    async def _release_list(self, database: Database, row: Row) -> AsyncGenerator[int, None]:
        """Releases the chunks of a list, unless somebody else does, or the repository is deleted."""
        recipes = set(split_hashes(row["recipe_hashes"]))
        groups, absences = None, Absences()
        with absences.tolerate("unknown"):
            groups = await self._read_chunks(database, row["repo_id"], sorted(recipes))
        if absences.buckets:
            return
        if groups is None:
            log.error("recipe lost", repository=str(row["repo_id"]), released_list=row["id"])
            return
        done: str = row["released_to"]
        batches = _split_chunks(groups, done, row["taken_to"], recipes)
        while batch := await asyncio.to_thread(next, batches, None):
            work = partial(_release_batch, row=row, done=done, batch=batch)
            if not await database.transaction(work):
                return
            done = batch[-1]
            yield len(batch)
        work = partial(
            _release_last, row=row, done=done, recipes=[r.hex() for r in sorted(recipes)]
        )
        if await database.transaction(work):
            yield len(recipes)

    async def _read_chunks(
        self, database: Database, repository_id: UUID, recipes: Sequence[bytes]
    ) -> list[bytearray] | None:
        """Returns the chunks in recipes, packed, by their first byte; None if one cannot be read."""
        groups = [bytearray() for _ in range(256)]
        for at in range(0, len(recipes), RECIPES):
            some = recipes[at : at + RECIPES]
            contents = await read_contents(database, self._stores, repository_id, some)
            if len(contents) < len(some):
                return None
            await asyncio.to_thread(_group_chunks, contents.values(), groups)
        return groups


def _group_chunks(recipes: Iterable[bytes], groups: Sequence[bytearray]) -> None:
    for recipe in recipes:
        for chunk in split_hashes(decode_recipe(recipe).chunk_hashes):
            groups[chunk[0]] += chunk


def _split_chunks(
    groups: Iterable[bytearray], done: str, taken_to: str | None, recipes: set[bytes]
) -> Iterator[list[str]]:
    """Yields the chunks after one (`done`) in the order of their hashes, batched, without the recipes.

    Of a lift that was broken off, those up to `taken_to`.
    """
    waiting: list[str] = []
    for group in groups:
        chunks = set(split_hashes(bytes(group))) - recipes
        waiting += sorted(chunk.hex() for chunk in chunks)
        waiting = [
            chunk for chunk in waiting if chunk > done and (taken_to is None or chunk <= taken_to)
        ]
        while len(waiting) >= BATCH:
            yield waiting[:BATCH]
            waiting = waiting[BATCH:]
    if waiting:
        yield waiting


async def _release_batch(connection: Connection, row: Row, done: str, batch: Sequence[str]) -> bool:
    """Releases some chunks; returns whether nobody else had, and the repository is there."""
    if not await hold_repository(connection, row["repo_id"]):
        return False
    passed = await connection.fetchrow(Q.pass_chunks, row["id"], done, batch[-1], row["taken_to"])
    if passed is None:
        return False
    await connection.execute(_choose(passed), row["repo_id"], batch)
    return True


async def _release_last(
    connection: Connection, row: Row, done: str, recipes: Sequence[str]
) -> bool:
    """Releases the recipes of a list, whose chunks are released, and forgets the list."""
    repository_id = row["repo_id"]
    if not await hold_repository(connection, repository_id):
        return False
    passed = await connection.fetchrow(Q.delete_list, row["id"], done, row["taken_to"])
    if passed is None:
        return False
    await connection.execute(_choose(passed), repository_id, recipes)
    # What the repository occupies is counted again.
    await request_recount(connection, repository_id)
    return True


def _choose(passed: Row) -> str:
    """Returns the statement for the chunks of a list: one that was obliterated leaves no claims."""
    return Q.erase_chunks if passed["is_erased"] else Q.release_chunks
