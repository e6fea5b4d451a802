"""The manifests of a push: which of them are new, what lies below them, and adding them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Manifest

from services.repo.history.manifests import child_hashes
from services.repo.push.chunk_lists import ChunkLists
from services.repo.push.preparation import PreparedPush
from services.repo.push.stream import Push
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import history_missing, stream_order

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class Counts:
    """What lies below a directory, at any depth: entries, bytes and chunks."""

    entries: int
    size: int
    chunks: int


async def lock_manifests(
    connection: Connection, repository_id: UUID, push: Push
) -> dict[str, Counts]:
    """Locks the manifests that a push brings or names; returns the counts of those that exist.

    Raises HISTORY_MISSING if one is neither in the push nor in the repository.
    """
    named = push.named_manifests()
    if not named:
        return {}
    rows = await connection.fetch(Q.lock_manifests, repository_id, sorted(named))
    counts = {
        row["hash"]: Counts(row["entry_count"], row["total_size"], row["chunk_count"])
        for row in rows
    }
    absent = named - counts.keys() - push.manifests.keys()
    if absent:
        raise history_missing("manifest", sorted(absent))
    return counts


async def insert_manifests(
    connection: Connection,
    repository_id: UUID,
    prepared: PreparedPush,
    stored: Mapping[str, Counts],
    predecessors: Mapping[str, str],
) -> list[Manifest]:
    """Adds the manifests of a push that are not stored yet; returns those that were new.

    `predecessors` names for a directory the manifest that it had before. Raises STREAM_ORDER.
    """
    push = prepared.push
    counts = dict(stored)
    for digest, manifest in push.manifests.items():  # children first, as they came
        if digest not in counts:
            counts[digest] = _count_below(manifest, counts, prepared.lists)
    hashes = sorted(push.manifests.keys() - stored.keys())
    if not hashes:
        return []
    first_commits = _find_first_commits(push)
    inserted = await connection.fetch(
        *Q.bind.insert_manifests(
            repository_id=repository_id,
            hashes=hashes,
            commit_hashes=[first_commits[digest] for digest in hashes],
            parent_hashes=[predecessors.get(digest) for digest in hashes],
            entry_counts=[counts[digest].entries for digest in hashes],
            total_sizes=[counts[digest].size for digest in hashes],
            chunk_counts=[counts[digest].chunks for digest in hashes],
            contents=[prepared.stored[digest] for digest in hashes],
        )
    )
    return [push.manifests[row["hash"]] for row in inserted]


def _count_below(manifest: Manifest, counts: Mapping[str, Counts], lists: ChunkLists) -> Counts:
    """Returns the counts of a directory whose sub-directories are counted. Raises STREAM_ORDER."""
    size = chunks = 0
    entries = len(manifest.entries)
    for entry in manifest.entries:
        if entry.HasField("file"):
            size += entry.file.size
            chunks += lists.count_chunks(entry.file)
        elif entry.HasField("directory"):
            child = entry.directory.manifest_hash.hex()
            below = counts.get(child)
            if below is None:
                raise stream_order(f"the manifest {child} comes after one that names it")
            entries += below.entries
            size += below.size
            chunks += below.chunks
    return Counts(entries, size, chunks)


def _find_first_commits(push: Push) -> dict[str, str]:
    """Returns for each manifest of the push the first of its commits that reaches it."""
    found: dict[str, str] = {}
    for commit, content in push.commits.items():
        left = [content.tree_hash.hex()]
        while left:
            digest = left.pop()
            if digest in found or digest not in push.manifests:
                continue
            found[digest] = commit
            left += child_hashes(push.manifests[digest])
    return found
