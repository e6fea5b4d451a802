"""What one history has changed that another does not have."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry

from services.repo.history.ancestry import Node, walk_ancestry
from services.repo.history.batches import split_batches
from services.repo.history.manifests import load_manifests
from services.repo.history.revisions import Revision
from shared.db.pool import Connection

# Manifests that are read at once.
BATCH = 500
# How many steps down the history are read at once.
STEPS = 50


async def find_changes_since(
    connection: Connection,
    repository_id: UUID,
    head: Revision,
    base: Revision,
    paths: Collection[str],
) -> dict[str, str]:
    """Returns the paths that a commit of `head` and not of `base` changed, each with that commit.

    Paths that are the same in both trees are left out. Of several commits the one of the highest
    generation counts: no other of them descends from it.
    """
    reader = _TreeReader(connection, repository_id)
    now = await reader.find_entries(head.tree, paths)
    then = await reader.find_entries(base.tree, paths)
    left = {path for path in paths if now.get(path) != then.get(path)}
    found: dict[str, str] = {}
    if not left:
        return found
    graph, unknown = await _build_graph(connection, repository_id, head.commit, base.commit)
    for commit in sorted(unknown, key=lambda commit: (-graph[commit].generation, commit)):
        for path in await reader.find_changed(graph[commit], graph, left):
            found[path] = commit
            left.discard(path)
        if not left:
            break
    return found


async def _build_graph(
    connection: Connection, repository_id: UUID, head: str, base: str
) -> tuple[dict[str, Node], set[str]]:
    """Returns a graph, and the commits in it that are of `head` and not of `base`.

    Walks both histories from the highest generation down; a commit is reached by all its children
    before its own turn comes, so by then it is known whether it is of `base`.
    """
    graph = await _read_graph(connection, repository_id, [head, base])
    heap = [(-graph[commit].generation, commit) for commit in {head, base}]
    heapq.heapify(heap)
    open_heads = {head} - {base}
    of_base, unknown, seen = {base}, set(), {head, base}
    while open_heads:
        _, commit = heapq.heappop(heap)
        if commit not in of_base:
            unknown.add(commit)
        open_heads.discard(commit)
        parents = graph[commit].parents
        if missing := [parent for parent in parents if parent not in graph]:
            graph |= await _read_graph(connection, repository_id, missing)
        for parent in parents:
            if commit in of_base:
                of_base.add(parent)
                open_heads.discard(parent)
            elif parent not in of_base:
                open_heads.add(parent)
            if parent not in seen:
                seen.add(parent)
                heapq.heappush(heap, (-graph[parent].generation, parent))
    return graph, unknown


async def _read_graph(
    connection: Connection, repository_id: UUID, hashes: list[str]
) -> dict[str, Node]:
    rows = await walk_ancestry(connection, repository_id, hashes, STEPS)
    return {commit: Node.from_row(row) for commit, row in rows.items()}


class _TreeReader:
    """Looks paths up in trees, and remembers the directories it has read."""

    def __init__(self, connection: Connection, repository_id: UUID) -> None:
        self._connection = connection
        self._repository_id = repository_id
        self._known: dict[str, dict[str, Entry]] = {}

    async def find_changed(
        self, node: Node, graph: dict[str, Node], paths: Collection[str]
    ) -> list[str]:
        """Returns those of the paths that differ from what they are in every parent."""
        trees = [graph[parent].tree for parent in node.parents]
        if node.tree in trees:
            return []
        now = await self.find_entries(node.tree, paths)
        before = [await self.find_entries(tree, paths) for tree in trees] or [{}]
        return [path for path in paths if all(now.get(path) != was.get(path) for was in before)]

    async def find_entries(self, tree: str, paths: Iterable[str]) -> dict[str, Entry]:
        """Returns what is at some paths of a tree, whether file, link or directory."""
        found: dict[str, Entry] = {}
        level = [(tree, path.rstrip("/").split("/"), path) for path in paths]
        while level:
            await self._load({digest for digest, _, _ in level})
            below = []
            for digest, parts, path in level:
                entry = self._known[digest].get(parts[0])
                if entry is None:
                    continue
                if len(parts) == 1:
                    found[path] = entry
                elif entry.HasField("directory"):
                    below.append((entry.directory.manifest_hash.hex(), parts[1:], path))
            level = below
        return found

    async def _load(self, hashes: set[str]) -> None:
        for batch in split_batches(sorted(hashes - self._known.keys()), BATCH):
            loaded = await load_manifests(self._connection, self._repository_id, batch)
            for digest in batch:
                # The tree of a commit is complete; only the empty one is not stored.
                entries = loaded[digest][1].entries if digest in loaded else ()
                self._known[digest] = {entry.name: entry for entry in entries}
