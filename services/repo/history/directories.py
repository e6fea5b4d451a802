"""Reading a tree: its directories one by one, and all of its manifests as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry, Manifest

from services.repo.history.manifests import child_hashes, load_manifests
from services.repo.history.revisions import Revision
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
    """

    sizes: dict[str, int] = field(default_factory=dict)
    chunk_counts: dict[str, int] = field(default_factory=dict)


async def read_directory(
    connection: Connection, repository_id: UUID, revision: Revision, path: str
) -> Manifest:
    """Returns the manifest of a directory of a commit; "" is the top. Raises NOT_FOUND."""
    manifest = await _load(connection, repository_id, revision.tree, path)
    for name in path.split("/") if path else ():
        entry = find_child(manifest, name, path)
        if not entry.HasField("directory"):
            raise not_found("path", path)
        child = entry.directory.manifest_hash.hex()
        manifest = await _load(connection, repository_id, child, path)
    return manifest


def find_child(manifest: Manifest, name: str, path: str) -> Entry:
    """Returns one entry of a directory. Raises NOT_FOUND for the path that led to it."""
    for entry in manifest.entries:
        if entry.name == name:
            return entry
    raise not_found("path", path)


async def read_totals(
    connection: Connection, repository_id: UUID, entries: Collection[Entry]
) -> Totals:
    """Returns the totals of the directories and large files among some entries."""
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
        async with database.connection() as connection:
            loaded = await load_manifests(connection, repository_id, batch)
        for content, manifest in loaded.values():
            fresh = [c for c in dict.fromkeys(child_hashes(manifest)) if c not in seen]
            seen.update(fresh)
            left += fresh
            yield content


async def _load(connection: Connection, repository_id: UUID, digest: str, path: str) -> Manifest:
    loaded = await load_manifests(connection, repository_id, [digest])
    if digest not in loaded:
        # The tree of a commit is complete; only the empty one is not stored.
        raise not_found("path", path)
    return loaded[digest][1]
