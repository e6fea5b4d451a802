"""The graph of commits: adding to it and asking who descends from whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dits.repo.v1.manifest_pb2 import CommitContent, Signer

from shared.db import sql
from shared.db.pool import Connection

Q = sql.load(__file__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Node:
    """A commit in the graph: its tree, its parents, and its distance from the first commit."""

    tree: str
    parents: tuple[str, ...]
    generation: int


async def known(connection: Connection, repo_id: UUID, names: Iterable[str]) -> dict[str, Node]:
    """Those of some commits that the repository has."""
    rows = await connection.fetch(Q.known_commits, repo_id, list(names))
    return {
        row["hash"]: Node(row["tree_hash"], tuple(row["parent_hashes"]), row["generation"])
        for row in rows
    }


async def descends(
    connection: Connection, repo_id: UUID, pushed: Mapping[str, Node], new: str, old: str
) -> bool:
    """Whether `old` is `new` or one of its ancestors; `pushed` are not in the database yet."""
    left, seen, stored = [new], {new}, set()
    while left:
        name = left.pop()
        if name == old:
            return True
        if name not in pushed:
            stored.add(name)
            continue
        for parent in pushed[name].parents:
            if parent not in seen:
                seen.add(parent)
                left.append(parent)
    target = (await known(connection, repo_id, [old])).get(old)
    if target is None:
        return False
    arguments = (repo_id, sorted(stored), old, target.generation)
    return bool(await connection.fetchval(Q.reaches, *arguments))


async def insert(
    connection: Connection,
    repo_id: UUID,
    commits: Sequence[tuple[str, CommitContent]],
    graph: Mapping[str, Node],
) -> int:
    """Adds commits with their nodes; returns how many were new."""
    names = [name for name, _ in commits]
    nodes = [graph[name] for name in names]
    contents = [content for _, content in commits]
    rows = await connection.fetch(
        *Q.bind.insert_commits(
            repository_id=repo_id,
            hashes=names,
            trees=[node.tree for node in nodes],
            parents=[",".join(node.parents) for node in nodes],
            generations=[node.generation for node in nodes],
            messages=[content.message for content in contents],
            **_signers("author", [content.author for content in contents]),
            **_signers("committer", [content.committer for content in contents]),
        )
    )
    return len(rows)


def _signers(role: str, signers: Sequence[Signer]) -> dict[str, list[Any]]:
    """Returns the columns of the authors or committers of some commits."""
    return {
        f"{role}_names": [signer.name for signer in signers],
        f"{role}_emails": [signer.email for signer in signers],
        f"{role}_timestamps": [EPOCH + timedelta(microseconds=s.time_us) for s in signers],
        f"{role}_offsets": [signer.offset_minutes for signer in signers],
    }
