"""The commits of a push in the graph of the repository, and what they change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from services.repo.history.ancestry import Node, find_reached_by_branches, lock_nodes
from services.repo.history.branch_moves import BranchUpdate, compare_unreached
from services.repo.history.changes import Changes, Comparison
from services.repo.history.diff import Trees
from services.repo.push.stream import Push
from shared.db.pool import Connection
from shared.errors import batch_too_large, history_missing, invalid_field, stream_order
from shared.formats.shelves import is_shelf
from shared.runtime.weighed_work import do_weighed

# Stored commits that no branch reaches on which one push may put new branches: each is walked down from.
MAX_UNREACHED_ENDS = 20


async def build_graph(connection: Connection, repository_id: UUID, push: Push) -> dict[str, Node]:
    """Returns the commits of a push and the stored ones that it names, by hash; these stay meanwhile.

    Raises HISTORY_MISSING if a parent or a new head is neither in the push nor in the repository,
    STREAM_ORDER if a commit comes before its parent, INVALID_FIELD if no new head reaches it.
    """
    named, asked = await do_weighed(push.steps, _list_named, push)
    stored = await lock_nodes(connection, repository_id, asked)
    return await do_weighed(push.steps, _join, push, named, stored)


def _list_named(push: Push) -> tuple[set[str], set[str]]:
    """Returns the commits that have to be there, and all that the push is about."""
    named = push.refs.new_heads
    for content in push.commits.values():
        named.update(parent.hex() for parent in content.parent_hashes)
    expected = {update.expected for update in push.refs.branches if update.expected}
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
    connection: Connection,
    repository_id: UUID,
    push: Push,
    moves: Sequence[BranchUpdate],
    graph: Mapping[str, Node],
    trees: Trees,
) -> Changes:
    """Returns what a push changes, by path, on all the branches it moves, except shelves.

    The files of every commit are judged, not only of those that branches are moved to. Raises
    FILE_REFUSED, BATCH_TOO_LARGE.
    """
    own = await do_weighed(push.steps, _compare_commits, push, graph)
    moved: list[list[Comparison]] = []
    for shelved in (False, True):
        some = [update for update in moves if is_shelf(update.branch) is shelved]
        unreached = await _find_unreached(connection, repository_id, push, some, graph)
        found = await do_weighed(push.steps, _compare_moves, push, some, graph, own)
        moved.append(list(filter(_differs, dict.fromkeys([*found, *unreached]))))
    ordinary, shelves = moved
    return await trees.find_changes(
        ordinary, [*filter(_differs, dict.fromkeys(own.values())), *shelves]
    )


async def _find_unreached(
    connection: Connection,
    repository_id: UUID,
    push: Push,
    moves: Sequence[BranchUpdate],
    graph: Mapping[str, Node],
) -> list[Comparison]:
    """Returns what new branches change by stored commits that no branch reaches, but perhaps a tag.

    Raises BATCH_TOO_LARGE.
    """
    heads = {update.new for update in moves if not update.expected}
    ends = await do_weighed(push.steps, _list_ends, push, heads)
    if not ends:
        return []
    ends -= await find_reached_by_branches(connection, repository_id, ends)
    if len(ends) > MAX_UNREACHED_ENDS:
        raise batch_too_large("commits that no branch reaches", MAX_UNREACHED_ENDS, len(ends))
    return [
        await compare_unreached(connection, repository_id, end, graph[end].tree)
        for end in sorted(ends)
    ]


def _list_ends(push: Push, heads: Collection[str]) -> set[str]:
    """Returns the stored commits at which the ways down from some heads leave the push."""
    pushed = _list_pushed(push, heads)
    below = {parent.hex() for commit in pushed for parent in push.commits[commit].parent_hashes}
    return (below | set(heads)) - push.commits.keys()


def _compare_commits(push: Push, graph: Mapping[str, Node]) -> dict[str, Comparison]:
    """Returns the comparison of each commit of a push with its parents."""
    return {commit: _compare_with_parents(graph[commit], graph) for commit in push.commits}


def _compare_moves(
    push: Push,
    moves: Iterable[BranchUpdate],
    graph: Mapping[str, Node],
    own: Mapping[str, Comparison],
) -> list[Comparison]:
    """Returns the comparisons for the moves of branches; a new one has those of its commits in the push."""
    moved: list[Comparison] = []
    for update in moves:
        if update.expected:
            moved.append(update.compare(graph))
        else:
            moved += [own[commit] for commit in _list_pushed(push, [update.new])]
    return moved


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
    reached = set(_list_pushed(push, push.refs.new_heads))
    for commit in push.commits.keys() - reached - set(stored):
        raise invalid_field("commits", f"{commit} is in the history of no new head of this push")
