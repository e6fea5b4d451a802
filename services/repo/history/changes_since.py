"""What one history has changed that another does not know."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry

from services.repo.history import manifests
from services.repo.history.ancestry import Node
from services.repo.history.revisions import Revision
from shared.db import sql
from shared.db.pool import Connection

Q = sql.load(__file__)

BATCH = 500
# How many steps down the history are read at once.
STEPS = 50


async def changes(
    connection: Connection, repo_id: UUID, head: Revision, base: Revision, paths: Iterable[str]
) -> dict[str, str]:
    """For each path that a commit of `head` and not of `base` changed, and that differs, that commit.

    Of several commits the one of the highest generation: no other of them descends from it.
    """
    reader = _Reader(connection, repo_id)
    now, then = await reader.entries(head.tree, paths), await reader.entries(base.tree, paths)
    left = {path for path in paths if now.get(path) != then.get(path)}
    found: dict[str, str] = {}
    if not left:
        return found
    graph, unknown = await _graph(connection, repo_id, head.commit, base.commit)
    for name in sorted(unknown, key=lambda name: (-graph[name].generation, name)):
        for path in await reader.changed(graph[name], graph, left):
            found[path] = name
            left.discard(path)
        if not left:
            break
    return found


async def _graph(
    connection: Connection, repo_id: UUID, head: str, base: str
) -> tuple[dict[str, Node], set[str]]:
    """The commits of `head` that are not of `base`, in a graph that has their parents too.

    Walks both histories from the highest generation down; a commit is reached by all its children
    before its own turn comes, so by then it is known whether it is of `base`.
    """
    graph = await _ancestry(connection, repo_id, [head, base])
    heap = [(-graph[name].generation, name) for name in {head, base}]
    heapq.heapify(heap)
    open_heads = {head} - {base}
    of_base, unknown, seen = {base}, set(), {head, base}
    while open_heads:
        _, name = heapq.heappop(heap)
        if name not in of_base:
            unknown.add(name)
        open_heads.discard(name)
        parents = graph[name].parents
        if missing := [parent for parent in parents if parent not in graph]:
            graph |= await _ancestry(connection, repo_id, missing)
        for parent in parents:
            if name in of_base:
                of_base.add(parent)
                open_heads.discard(parent)
            elif parent not in of_base:
                open_heads.add(parent)
            if parent not in seen:
                seen.add(parent)
                heapq.heappush(heap, (-graph[parent].generation, parent))
    return graph, unknown


async def _ancestry(connection: Connection, repo_id: UUID, names: list[str]) -> dict[str, Node]:
    rows = await connection.fetch(Q.ancestry, repo_id, names, STEPS)
    return {
        row["hash"]: Node(row["tree_hash"], tuple(row["parent_hashes"]), row["generation"])
        for row in rows
    }


class _Reader:
    """Looks paths up in trees, and remembers the directories it has read."""

    def __init__(self, connection: Connection, repo_id: UUID) -> None:
        self._connection = connection
        self._repo_id = repo_id
        self._known: dict[str, dict[str, Entry]] = {}

    async def changed(
        self, node: Node, graph: dict[str, Node], paths: Collection[str]
    ) -> list[str]:
        """Those of the paths that differ from what they are in every parent."""
        trees = [graph[parent].tree for parent in node.parents]
        if node.tree in trees:
            return []
        now = await self.entries(node.tree, paths)
        before = [await self.entries(tree, paths) for tree in trees] or [{}]
        return [path for path in paths if all(now.get(path) != was.get(path) for was in before)]

    async def entries(self, tree: str, paths: Iterable[str]) -> dict[str, Entry]:
        """What is at some paths of a tree, whether file, link or directory."""
        found: dict[str, Entry] = {}
        level = [(tree, path.rstrip("/").split("/"), path) for path in paths]
        while level:
            await self._load({name for name, _, _ in level})
            below = []
            for name, parts, path in level:
                entry = self._known[name].get(parts[0])
                if entry is None:
                    continue
                if len(parts) == 1:
                    found[path] = entry
                elif entry.HasField("directory"):
                    below.append((entry.directory.manifest_hash.hex(), parts[1:], path))
            level = below
        return found

    async def _load(self, names: set[str]) -> None:
        wanted = sorted(names - self._known.keys())
        for at in range(0, len(wanted), BATCH):
            batch = wanted[at : at + BATCH]
            loaded = await manifests.load(self._connection, self._repo_id, batch)
            for name in batch:
                # The tree of a commit is complete; only the empty one is not stored.
                entries = loaded[name][1].entries if name in loaded else ()
                self._known[name] = {entry.name: entry for entry in entries}
