"""The graph of commits: adding to it, walking it, and who descends from whom."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dits.repo.v1.manifest_pb2 import CommitContent, Signer

from services.repo.history.batches import split_batches, split_by_size
from shared.db import sql
from shared.db.pool import Connection, Row

Q = sql.load(__file__)

# How far commits that no branch reaches are followed to those that one does.
MAX_UNREACHED = 100

# Commits that one statement reads or adds.
BATCH = 1_000
# Bytes of messages: the event loop encodes them.
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
    nodes: dict[str, Node] = {}
    for batch in split_batches(list(hashes), BATCH):
        rows = await connection.fetch(Q.known_commits, repository_id, batch)
        nodes |= {row["hash"]: Node.from_row(row) for row in rows}
    return nodes


async def descends_from(
    connection: Connection, repository_id: UUID, pushed: Mapping[str, Node], new: str, old: str
) -> bool:
    """Returns whether `old` is `new` or one of its ancestors; `pushed` are not in the database yet."""
    left, seen, stored = [new], {new}, set()
    while left:
        commit = left.pop()
        if commit == old:
            return True
        if commit not in pushed:
            stored.add(commit)
            continue
        for parent in pushed[commit].parents:
            if parent not in seen:
                seen.add(parent)
                left.append(parent)
    target = (await read_nodes(connection, repository_id, [old])).get(old)
    if target is None:
        return False
    arguments = (repository_id, sorted(stored), old, target.generation)
    return bool(await connection.fetchval(Q.reaches, *arguments))


async def find_reached(
    connection: Connection, repository_id: UUID, commit: str, branch: str
) -> list[Node]:
    """Returns the nearest of a commit and its ancestors that branches other than `branch` reach.

    Returns none if some are more than MAX_UNREACHED steps away.
    """
    reached: list[Node] = []
    left = seen = {commit}
    for _ in range(MAX_UNREACHED):
        nodes = await read_nodes(connection, repository_id, left)
        found = await connection.fetch(Q.reached_by_branches, repository_id, list(left), branch)
        names = {row["hash"] for row in found}
        reached += [nodes[name] for name in sorted(names)]
        left = {parent for name in left - names for parent in nodes[name].parents} - seen
        if not left:
            return reached
        seen = seen | left
    return []


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
    sized = ((commit, len(commits[commit].message)) for commit in hashes)
    for batch in split_by_size(sized, BATCH, BATCH_BYTES):
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
