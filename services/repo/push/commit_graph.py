"""The commits of a push in the graph of the repository, and what they change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from services.repo.history.ancestry import Node, read_nodes
from services.repo.history.branches import BranchUpdate
from services.repo.history.diff import Changes, Trees
from services.repo.push.stream import Push
from shared.db.pool import Connection
from shared.errors import history_missing, stream_order


async def build_graph(connection: Connection, repository_id: UUID, push: Push) -> dict[str, Node]:
    """Returns the commits of a push and the stored ones that it names, by hash.

    Raises HISTORY_MISSING if a parent or a new head is neither in the push nor in the repository,
    STREAM_ORDER if a commit comes before its parent.
    """
    commits = push.commits
    named = {parent.hex() for content in commits.values() for parent in content.parent_hashes}
    named.update(update.new for update in push.updates)
    expected = {update.expected for update in push.updates if update.expected}
    stored = await read_nodes(connection, repository_id, named | expected | commits.keys())
    absent = named - stored.keys() - commits.keys()
    if absent:
        raise history_missing("commit", sorted(absent))
    pushed: dict[str, Node] = {}
    for commit, content in commits.items():
        parents = tuple(parent.hex() for parent in content.parent_hashes)
        generation = 0
        for parent in parents:
            node = pushed.get(parent) or stored.get(parent)
            if node is None:
                raise stream_order(f"the commit {commit} comes before its parent {parent}")
            generation = max(generation, node.generation + 1)
        pushed[commit] = Node(content.tree_hash.hex(), parents, generation)
    return {**stored, **pushed}


async def find_push_changes(
    push: Push, moves: Iterable[BranchUpdate], graph: Mapping[str, Node], trees: Trees
) -> Changes:
    """Returns what a push changes, by path, on all the branches it moves."""
    changes = Changes()
    for update in moves:
        if update.expected:
            old, new = graph[update.expected].tree, graph[update.new].tree
            changes.add(await trees.find_changes(old, new))
        else:
            await _add_new_commits(changes, push, update, graph, trees)
    return changes


async def _add_new_commits(
    changes: Changes, push: Push, update: BranchUpdate, graph: Mapping[str, Node], trees: Trees
) -> None:
    """Adds what the new commits below a new branch changed, each against all of its parents."""
    left, seen = [update.new], {update.new}
    while left:
        commit = left.pop()
        if commit not in push.commits:
            continue
        node = graph[commit]
        compared = [
            await trees.find_changes(graph[parent].tree, node.tree) for parent in node.parents
        ] or [await trees.find_changes(None, node.tree)]
        changes.add(_intersect(compared))
        fresh = [parent for parent in node.parents if parent not in seen]
        seen.update(fresh)
        left += fresh


def _intersect(compared: list[Changes]) -> Changes:
    """Returns what differs from every parent: a merge does not change what it takes over unchanged."""
    first, *others = compared
    for other in others:
        first.written = {p: e for p, e in first.written.items() if p in other.paths}
        first.existing = {p for p in first.existing if p in other.paths}
    return first
