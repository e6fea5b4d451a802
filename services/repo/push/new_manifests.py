"""The manifests of a push: which of them are new, what lies below them, and adding them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Manifest

from services.repo.history.batches import split_batches
from services.repo.push.chunk_lists import ChunkLists
from services.repo.push.counts import Counts, count_below, require_bounded
from services.repo.push.preparation import PreparedPush
from services.repo.push.stream import Push
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import history_missing, stream_order

Q = sql.load(__file__)

# Manifests that one statement looks up; how many it adds, and bytes of them as they are stored.
BATCH = 2_000
MOST_ADDED = 200
MOST_BYTES = 4 << 20


async def lock_manifests(
    connection: Connection, repository_id: UUID, push: Push
) -> dict[str, Counts]:
    """Locks the manifests that a push brings or names; returns the counts of those that exist.

    Raises HISTORY_MISSING if one is neither in the push nor in the repository.
    """
    named = await asyncio.to_thread(push.named_manifests)
    if not named:
        return {}
    rows = []
    for batch in split_batches(sorted(named), BATCH):
        rows += await connection.fetch(Q.lock_manifests, repository_id, batch)
    counts = {
        row["hash"]: Counts(
            row["entry_count"],
            row["total_size"],
            row["chunk_count"],
            row["depth"],
            row["path_bytes"],
        )
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
    counts: Mapping[str, Counts],
    predecessors: Mapping[str, str],
) -> list[Manifest]:
    """Adds the manifests of a push that are not stored yet; returns those that were new.

    `predecessors` names for a directory the manifest that it had before.
    """
    push = prepared.push
    hashes = sorted(push.manifests.keys() - stored.keys())
    if not hashes:
        return []
    first_commits = await asyncio.to_thread(_find_first_commits, push)
    inserted: list[Manifest] = []
    for batch in _split_by_size(hashes, prepared.stored):
        rows = await connection.fetch(
            *Q.bind.insert_manifests(
                repository_id=repository_id,
                hashes=batch,
                commit_hashes=[first_commits[digest] for digest in batch],
                parent_hashes=[predecessors.get(digest) for digest in batch],
                entry_counts=[counts[digest].entries for digest in batch],
                total_sizes=[counts[digest].size for digest in batch],
                chunk_counts=[counts[digest].chunks for digest in batch],
                depths=[counts[digest].depth for digest in batch],
                path_bytes=[counts[digest].path_bytes for digest in batch],
                contents=[prepared.stored[digest] for digest in batch],
            )
        )
        inserted += [push.manifests[row["hash"]] for row in rows]
    return inserted


def _split_by_size(hashes: Iterable[str], stored: Mapping[str, bytes]) -> Iterator[list[str]]:
    """Yields manifests in lists that one statement adds."""
    batch: list[str] = []
    size = 0
    for digest in hashes:
        batch.append(digest)
        size += len(stored[digest])
        if len(batch) == MOST_ADDED or size >= MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def count_manifests(
    push: Push, stored: Mapping[str, Counts], lists: ChunkLists
) -> dict[str, Counts]:
    """Returns the counts of the manifests that a push brings or names.

    Raises STREAM_ORDER, and INVALID_FIELD or BATCH_TOO_LARGE for a tree over a limit.
    """
    counts = dict(stored)
    for digest, manifest in push.manifests.items():  # children first, as they came
        if digest in counts:
            continue
        for child in push.children[digest]:
            if child not in counts:
                raise stream_order(f"the manifest {child} comes after one that names it")
        counts[digest] = count_below(manifest, counts, lists.count_chunks)
        require_bounded(digest, counts[digest])
    return counts


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
            left += push.children[digest]
    return found
