"""Reading a tree: its directories one by one, and all of its manifests as a stream."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry

from services.repo.history.manifests import load_contents, load_manifests
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import not_found

Q = sql.load(__file__)

# Manifests that are read at once.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Totals:
    """What lies below entries of a directory, as it was counted when it was pushed.

    Attributes:
        sizes: bytes below a directory, by the hash of its manifest.
        chunk_counts: chunks below a directory or of a large file, by the hash of manifest or content.
        obliterated: why contents were obliterated, by their hashes.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    chunk_counts: dict[str, int] = field(default_factory=dict)
    obliterated: dict[str, str] = field(default_factory=dict)


async def list_entries(
    database: Database, repository_id: UUID, directory: str, after: str | None, count: int
) -> Sequence[Entry]:
    """Returns up to `count` entries of a directory, by name, those after a name. Raises NOT_FOUND."""
    async with database.connection() as connection:
        loaded = await load_manifests(connection, repository_id, [directory])
    if directory not in loaded:
        raise not_found("manifest", directory)
    entries = loaded[directory].entries
    start = bisect_right(entries, after, key=attrgetter("name")) if after is not None else 0
    return entries[start : start + count]


async def read_totals(
    connection: Connection, repository_id: UUID, entries: Collection[Entry]
) -> Totals:
    """Returns the totals of the directories and large files among some entries, and what is obliterated."""
    totals = Totals()
    directories = [e.directory.manifest_hash.hex() for e in entries if e.HasField("directory")]
    large = [e.file.hash.hex() for e in entries if e.file.recipe_hashes]
    if directories:
        for row in await connection.fetch(Q.directory_totals, repository_id, directories):
            totals.sizes[row["hash"]] = row["total_size"]
            totals.chunk_counts[row["hash"]] = row["chunk_count"]
    if large:
        for row in await connection.fetch(Q.chunk_counts, repository_id, large):
            totals.chunk_counts[row["hash"]] = row["chunk_count"]
    if files := [e.file.hash.hex() for e in entries if e.HasField("file")]:
        for row in await connection.fetch(Q.obliterated, repository_id, files):
            totals.obliterated[row["hash"]] = row["reason"]
    return totals


async def stream_manifests(
    database: Database, repository_id: UUID, tree: str, known: Iterable[str]
) -> AsyncIterator[bytes]:
    """Yields the manifests of a tree, parents before children, each once.

    Known manifests are left out, with all that is below them.
    """
    seen = set(known)
    left = [tree] if tree not in seen else []
    while left:
        batch, left = left[:BATCH], left[BATCH:]
        async for loaded in load_contents(database, repository_id, batch):
            for content, children in loaded:
                fresh = [child for child in dict.fromkeys(children) if child not in seen]
                seen.update(fresh)
                left += fresh
                yield content
