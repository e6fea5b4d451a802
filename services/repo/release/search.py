"""The search for directories that no commit reaches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from services.repo.history.manifests import load_contents
from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)

# Rows that one statement lists, and directories that are read at once.
PAGE = 10_000
BATCH = 500


@dataclass(frozen=True, slots=True)
class Unreached:
    """A directory that no commit reaches, and where it stands: those that name it are deeper.

    `size`: the bytes that are decoded to read it, those of its bases included.
    """

    depth: int
    delta_depth: int
    hash: str
    size: int


@dataclass(slots=True)
class Search:
    """What a search has found.

    Attributes:
        number: condemnations of higher numbers are younger than the search.
        reached: digests of the directories of commits, as far as they are found.
        unreached: all others, the deepest first, deltas before their bases.
    """

    number: int
    reached: set[bytes] = field(default_factory=set)
    unreached: list[Unreached] = field(default_factory=list)


async def begin_search(database: Database) -> Search:
    """Returns a search that has found nothing yet."""
    return Search((await database.statement(Q.draw_number))[0]["number"])


async def search_directories(
    database: Database, repository_id: UUID, search: Search
) -> AsyncGenerator[int, None]:
    """Searches all directories of a repository; yields how many are reached so far.

    Each is read once, and of those that are reached the digest is kept. Nothing is locked, so what is found
    may not be so any more. Raises MANIFEST_CORRUPT.
    """
    async for trees in _list_trees(database, repository_id):
        left = trees - search.reached
        search.reached |= left
        while left:
            batch = set(islice(left, BATCH))
            left -= batch
            hashes = [digest.hex() for digest in batch]
            async for contents in load_contents(database, repository_id, hashes):
                below = {bytes.fromhex(name) for _, children in contents for name in children}
                below -= search.reached
                search.reached |= below
                left |= below
            yield len(search.reached)
    await _list_unreached(database, repository_id, search)
    yield len(search.reached)


async def _list_trees(database: Database, repository_id: UUID) -> AsyncIterator[set[bytes]]:
    """Yields the trees of all commits, page by page."""
    last = ""
    while rows := await database.fetch(Q.list_trees, repository_id, last, PAGE):
        yield {bytes.fromhex(row["tree_hash"]) for row in rows}
        last = rows[-1]["hash"]


async def _list_unreached(database: Database, repository_id: UUID, search: Search) -> None:
    last = ""
    while rows := await database.fetch(Q.list_manifests, repository_id, last, PAGE):
        search.unreached += [
            Unreached(row["depth"], row["delta_depth"], row["hash"], row["decoded_bytes"])
            for row in rows
            if bytes.fromhex(row["hash"]) not in search.reached
        ]
        last = rows[-1]["hash"]
    search.unreached.sort(key=lambda each: (-each.depth, -each.delta_depth, each.hash))
