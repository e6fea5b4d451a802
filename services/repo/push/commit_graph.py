"""The commits of a push in the graph of the repository, and what they change."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from services.repo.history.ancestry import Node, read_nodes
from services.repo.history.branches import BranchUpdate
from services.repo.history.changes import Changes, Comparison
from services.repo.history.diff import Trees
from services.repo.push.stream import Push
from shared.db.pool import Connection
from shared.errors import history_missing, invalid_field, stream_order


async def build_graph(connection: Connection, repository_id: UUID, push: Push) -> dict[str, Node]:
    """Returns the commits of a push and the stored ones that it names, by hash.

    Raises HISTORY_MISSING if a parent or a new head is neither in the push nor in the repository,
    STREAM_ORDER if a commit comes before its parent, INVALID_FIELD if no new head reaches it.
    """
    named, asked = await asyncio.to_thread(_list_named, push)
    stored = await read_nodes(connection, repository_id, asked)
    return await asyncio.to_thread(_join, push, named, stored)


def _list_named(push: Push) -> tuple[set[str], set[str]]:
    """Returns the commits that have to be there, and all that the push is about."""
    named = {update.new for update in push.updates}
    for content in push.commits.values():
        named.update(parent.hex() for parent in content.parent_hashes)
    expected = {update.expected for update in push.updates if update.expected}
    return named, named | expected | push.commits.keys()


def _join(push: Push, named: set[str], stored: Mapping[str, Node]) -> dict[str, Node]:
    """Returns the graph of stored and pushed commits."""
    absent = named - stored.keys() - push.commits.keys()
    if absent:
        raise history_missing("commit", sorted(absent))
    _refuse_unreachable(push, stored)
    pushed: dict[str, Node] = {}
    for commit, content in push.commits.items():
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
    """Returns what a push changes, by path, on all the branches it moves.

    The files of every commit are judged, not only of those that branches are moved to. Raises
    FILE_REFUSED.
    """
    moved, own = await asyncio.to_thread(_list_comparisons, push, moves, graph)
    return await trees.find_changes(moved, own)


def _list_comparisons(
    push: Push, moves: Iterable[BranchUpdate], graph: Mapping[str, Node]
) -> tuple[list[Comparison], list[Comparison]]:
    """Returns the comparisons for the moves of branches, and for all the commits of a push."""
    own = {commit: _compare_with_parents(graph[commit], graph) for commit in push.commits}
    moved: list[Comparison] = []
    for update in moves:
        if update.expected:
            moved.append(Comparison((graph[update.expected].tree,), graph[update.new].tree))
        else:
            moved += [own[commit] for commit in _list_pushed(push, [update.new])]
    moved = list(filter(_differs, dict.fromkeys(moved)))
    return moved, list(filter(_differs, dict.fromkeys(own.values())))


def _compare_with_parents(node: Node, graph: Mapping[str, Node]) -> Comparison:
    parents = dict.fromkeys(graph[parent].tree for parent in node.parents)
    return Comparison(tuple(parents) or (None,), node.tree)


def _differs(pair: Comparison) -> bool:
    return pair.new not in pair.old


def _list_pushed(push: Push, heads: Iterable[str]) -> list[str]:
    """Returns the commits of the push that some commits reach through others of the push."""
    found = dict.fromkeys(head for head in heads if head in push.commits)
    left = list(found)
    while left:
        for digest in push.commits[left.pop()].parent_hashes:
            parent = digest.hex()
            if parent in push.commits and parent not in found:
                found[parent] = None
                left.append(parent)
    return list(found)


def _refuse_unreachable(push: Push, stored: Collection[str]) -> None:
    """Raises INVALID_FIELD for a new commit that no new head reaches: nothing would judge or free it."""
    reached = set(_list_pushed(push, (update.new for update in push.updates)))
    for commit in push.commits.keys() - reached - set(stored):
        raise invalid_field("commits", f"{commit} is in the history of no new head of this push")
