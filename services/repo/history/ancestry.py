"""The graph of commits: adding to it, walking it, and who descends from whom."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dits.repo.v1.manifest_pb2 import CommitContent, Signer

from services.repo.history.batches import split_batches, split_by_size
from services.repo.history.walk import WalkCount
from shared.db import sql
from shared.db.pool import Connection, Row

Q = sql.load(__file__)

# Commits of a push that are walked on the event loop.
MOST_ON_LOOP = 2_000

# Commits that one statement reads, and adds: the event loop encodes all that a commit has.
BATCH = 1_000
INSERTED = 250
# Bytes of messages and names of parents that one statement adds.
BATCH_BYTES = 2 << 20

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Node:
    """A commit in the graph.

    Attributes:
        tree: hash of its tree.
        parents: hashes of its parents.
        generation: 0 without parents, else higher than that of every parent.
    """

    tree: str
    parents: tuple[str, ...]
    generation: int

    @classmethod
    def from_row(cls, row: Row) -> Node:
        """Returns the node of a row of `commits`."""
        return cls(row["tree_hash"], tuple(row["parent_hashes"]), row["generation"])


async def read_nodes(
    connection: Connection, repository_id: UUID, hashes: Iterable[str]
) -> dict[str, Node]:
    """Returns those of some commits that the repository has, by hash."""
    return await _read_nodes(connection, repository_id, list(hashes), Q.known_commits)


async def lock_nodes(
    connection: Connection, repository_id: UUID, hashes: Iterable[str]
) -> dict[str, Node]:
    """Returns those of some commits that the repository has; they stay to the end of the transaction."""
    return await _read_nodes(connection, repository_id, sorted(hashes), Q.lock_commits)


async def _read_nodes(
    connection: Connection, repository_id: UUID, hashes: Sequence[str], query: str
) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for batch in split_batches(hashes, BATCH):
        rows = await connection.fetch(query, repository_id, batch)
        nodes |= {row["hash"]: Node.from_row(row) for row in rows}
    return nodes


async def descends_from(
    connection: Connection,
    repository_id: UUID,
    pushed: Mapping[str, Node],
    new: str,
    old: str,
    count: WalkCount,
) -> bool:
    """Returns whether `old` is `new` or one of its ancestors; `pushed` are not in the database yet.

    `count` is that of the call: the first walk may be as long as it has to. Raises BATCH_TOO_LARGE.
    """
    if len(pushed) <= MOST_ON_LOOP:
        stored = _find_ends(pushed, new, old)
    else:
        stored = await asyncio.to_thread(_find_ends, pushed, new, old)
    if old in stored:
        return True
    target = (await read_nodes(connection, repository_id, [old])).get(old)
    if target is None:
        return False
    count.require_bounded()
    arguments = (repository_id, sorted(stored), old, target.generation)
    [row] = await connection.fetch(Q.reaches, *arguments)
    count.commits += row["walked"]
    return bool(row["found"])


def _find_ends(pushed: Mapping[str, Node], new: str, old: str) -> set[str]:
    """Returns the commits at which the way down from `new` leaves `pushed`; `old` alone if met."""
    floor = pushed[old].generation if old in pushed else -1
    left, seen, ends = [new], {new}, set[str]()
    while left:
        commit = left.pop()
        if commit == old:
            return {old}
        node = pushed.get(commit)
        if node is None:
            ends.add(commit)
        elif node.generation > floor:
            left += [parent for parent in node.parents if parent not in seen]
            seen.update(node.parents)
    return ends


async def find_reached_by_branches(
    connection: Connection, repository_id: UUID, commits: Collection[str], branch: str = ""
) -> set[str]:
    """Returns those of some stored commits that branches reach other than `branch` and shelves.

    What is on a shelf alone was not held against locks: whatever brings it elsewhere is.
    """
    return await _find_reached(connection, repository_id, commits, branch, False)


async def find_reached_by_refs(
    connection: Connection, repository_id: UUID, commits: Collection[str]
) -> set[str]:
    """Returns those of some stored commits that branches, shelves or tags reach."""
    return await _find_reached(connection, repository_id, commits, "", True)


async def _find_reached(
    connection: Connection, repository_id: UUID, commits: Collection[str], *ends: str | bool
) -> set[str]:
    rows = await connection.fetch(Q.reached_by_branches, repository_id, list(commits), *ends)
    return {row["hash"] for row in rows}


async def insert_commits(
    connection: Connection,
    repository_id: UUID,
    commits: Mapping[str, CommitContent],
    graph: Mapping[str, Node],
    filters: Mapping[str, bytes],
) -> list[str]:
    """Adds commits with their nodes, and their filters where there are any; returns those that were new."""
    new: list[str] = []
    hashes = await asyncio.to_thread(sorted, commits)
    sized = (
        (commit, len(commits[commit].message) + 65 * len(graph[commit].parents))
        for commit in hashes
    )
    for batch in split_by_size(sized, INSERTED, BATCH_BYTES):
        some = {commit: commits[commit] for commit in batch}
        new += await _insert_some(connection, repository_id, some, graph, filters)
    return new


async def _insert_some(
    connection: Connection,
    repository_id: UUID,
    commits: Mapping[str, CommitContent],
    graph: Mapping[str, Node],
    filters: Mapping[str, bytes],
) -> list[str]:
    nodes = [graph[commit] for commit in commits]
    contents = commits.values()
    rows = await connection.fetch(
        *Q.bind.insert_commits(
            repository_id=repository_id,
            hashes=list(commits),
            trees=[node.tree for node in nodes],
            parents=[",".join(node.parents) for node in nodes],
            generations=[node.generation for node in nodes],
            messages=[content.message for content in contents],
            changed_paths=[filters.get(commit) for commit in commits],
            **_signers("author", [content.author for content in contents]),
            **_signers("committer", [content.committer for content in contents]),
        )
    )
    return [row["hash"] for row in rows]


def _signers(role: str, signers: Sequence[Signer]) -> dict[str, list[Any]]:
    """Returns the columns of the authors or committers of some commits."""
    return {
        f"{role}_names": [signer.name for signer in signers],
        f"{role}_emails": [signer.email for signer in signers],
        f"{role}_timestamps": [EPOCH + timedelta(microseconds=s.time_us) for s in signers],
        f"{role}_offsets": [signer.offset_minutes for signer in signers],
    }
