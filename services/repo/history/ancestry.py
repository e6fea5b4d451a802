"""The graph of commits: adding to it and asking who descends from whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
    columns = zip(*(_columns(name, content, graph[name]) for name, content in commits), strict=True)
    rows = await connection.fetch(Q.insert_commits, repo_id, *map(list, columns))
    return len(rows)


def _columns(name: str, content: CommitContent, node: Node) -> tuple[object, ...]:
    return (
        name,
        node.tree,
        ",".join(node.parents),
        node.generation,
        *_signer(content.author),
        *_signer(content.committer),
        content.message,
    )


def _signer(signer: Signer) -> tuple[str, str, datetime, int]:
    time = EPOCH + timedelta(microseconds=signer.time_us)
    return signer.name, signer.email, time, signer.offset_minutes
