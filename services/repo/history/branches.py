"""Branches: creating, moving and deleting them by compare-and-swap, each in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from dits.common.v1.event_pb2 import BranchPayload, EventType

from services.repo.history import ancestry, change_rules, lock_rules
from services.repo.history.ancestry import Node
from services.repo.history.change_rules import ChangeRules
from services.repo.history.changes import Comparison
from services.repo.history.diff import Trees
from services.repo.history.push_announcement import announce_push
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import (
    branch_protected,
    default_branch,
    head_moved,
    name_taken,
    not_fast_forward,
    not_found,
)
from shared.records.events import emit
from shared.rpc.call import Call, RepositoryAccess
from shared.rpc.policy import Permission

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class BranchUpdate:
    """The move of one branch.

    Attributes:
        branch: its name.
        expected: hash of the commit where the caller expects it; empty = it does not exist.
        new: hash of the commit to move it to.
        force: also allow a move that leaves commits behind.
    """

    branch: str
    expected: str
    new: str
    force: bool = False

    def must_move(self, head: str) -> bool:
        """Returns whether the branch, which is at `head`, is not at the new commit yet.

        Raises HEAD_MOVED if it is at neither of the two.
        """
        if head == self.new:
            return False
        if head != self.expected:
            raise head_moved(self.branch, self.expected, head)
        return True

    def describe(self) -> BranchPayload:
        """Returns what events tell of the move."""
        return BranchPayload(branch=self.branch, before=self.expected, after=self.new)


async def create_branch(connection: Connection, call: Call, name: str, head: str) -> Row:
    """Creates a branch at a commit of the repository; returns its row.

    Changes nothing if the branch is there already. A commit that no branch reaches yet is judged like a
    push that brings it. Raises NOT_FOUND, NAME_TAKEN if the branch is elsewhere, HEAD_MOVED if it was
    created and deleted at the same moment, FILE_REFUSED, and what `check_locks` raises.
    """
    repository_id = call.repository.id
    rules = await change_rules.lock_repository(connection, repository_id)
    node = (await ancestry.read_nodes(connection, repository_id, [head])).get(head)
    if node is None:
        raise not_found("commit", head)
    created = await _insert_branch(connection, call, name, head)
    if created is not None:
        bases = await ancestry.find_reached(connection, repository_id, head, name)
        move = Comparison(tuple(dict.fromkeys(base.tree for base in bases)) or (None,), node.tree)
        await _apply_rules(connection, call, rules, move)
        await _count_branches(connection, repository_id, 1)
        payload = BranchPayload(branch=name, after=head)
        await emit(connection, call, EventType.EVENT_TYPE_BRANCH_CREATED, repository_id, payload)
        return created
    row = await connection.fetchrow(Q.lock_branches, repository_id, [name])
    if row is None:
        raise head_moved(name, "", "")
    if row["head_commit"] != head:
        raise name_taken("branch", name)
    return row


async def update_branch(connection: Connection, call: Call, update: BranchUpdate) -> Row:
    """Moves a branch between commits of the repository; returns its row after the move.

    The rules for files and locks are those of a push that brings the same change. Raises NOT_FOUND,
    HEAD_MOVED, NOT_FAST_FORWARD, BRANCH_PROTECTED, FILE_REFUSED, and what `check_locks` raises.
    """
    repository_id = call.repository.id
    rules = await change_rules.lock_repository(connection, repository_id)
    rows = await read_branches(connection, repository_id, [update.branch])
    nodes = await ancestry.read_nodes(connection, repository_id, [update.expected, update.new])
    if update.new not in nodes:
        raise not_found("commit", update.new)
    if update.branch not in rows:
        raise not_found("branch", update.branch)
    if update.must_move(rows[update.branch]["head_commit"]):
        move = Comparison((nodes[update.expected].tree,), nodes[update.new].tree)
        await _apply_rules(connection, call, rules, move)
        rows = await move_branches(connection, call, [update], nodes)
        await announce_push(connection, call, [update.describe()])
    return rows[update.branch]


async def _apply_rules(
    connection: Connection, call: Call, rules: ChangeRules, move: Comparison
) -> None:
    """Judges the move of a branch between trees as a push, and ends the locks that it fulfils."""
    if move.new in move.old:
        return
    trees = Trees(connection, call.repository.id, {}, rules.files)
    changes = await trees.find_changes([move])
    await lock_rules.check_locks(connection, call, rules, changes, trees)
    await lock_rules.release_locks(connection, call, changes)


async def delete_branch(connection: Connection, call: Call, name: str, expected: str) -> None:
    """Removes a branch that is at `expected`; its commits stay until they are collected.

    Raises DEFAULT_BRANCH, NOT_FOUND, HEAD_MOVED, BRANCH_PROTECTED.
    """
    repository_id = call.repository.id
    if await connection.fetchval(Q.default_branch, repository_id) == name:
        raise default_branch(name)
    row = await connection.fetchrow(Q.lock_branches, repository_id, [name])
    if row is None:
        raise not_found("branch", name)
    if row["head_commit"] != expected:
        raise head_moved(name, expected, row["head_commit"])
    _check_protection(row, call.repository, is_forward=False)
    await connection.execute(Q.delete_branch, repository_id, name)
    await _count_branches(connection, repository_id, -1)
    payload = BranchPayload(branch=name, before=expected)
    await emit(connection, call, EventType.EVENT_TYPE_BRANCH_DELETED, repository_id, payload)


async def read_branches(
    connection: Connection, repository_id: UUID, names: Sequence[str]
) -> dict[str, Row]:
    """Returns the rows of some branches by name, without a lock; those that exist."""
    rows = await connection.fetch(Q.branches, repository_id, names)
    return {row["name"]: row for row in rows}


async def find_moves(
    connection: Connection, repository_id: UUID, updates: Sequence[BranchUpdate]
) -> list[BranchUpdate]:
    """Returns those of the updates whose branches are not there yet. Raises HEAD_MOVED."""
    rows = await read_branches(connection, repository_id, [update.branch for update in updates])
    heads = {name: row["head_commit"] for name, row in rows.items()}
    return [update for update in updates if update.must_move(heads.get(update.branch, ""))]


async def move_branches(
    connection: Connection, call: Call, updates: Sequence[BranchUpdate], graph: Mapping[str, Node]
) -> dict[str, Row]:
    """Moves or creates branches, all or none; returns their rows by name.

    `updates` are sorted by name, and their changes are checked; `graph` has the commits that are not
    in the database yet. Raises HEAD_MOVED, BRANCH_PROTECTED, NOT_FAST_FORWARD.
    """
    repository_id = call.repository.id
    names = [update.branch for update in updates]
    locked = await connection.fetch(Q.lock_branches, repository_id, names)
    rows = {row["name"]: row for row in locked}
    for update in updates:
        row = rows.get(update.branch)
        if not update.must_move(row["head_commit"] if row else ""):
            continue
        branch, new = update.branch, update.new
        if row is None:
            moved = await _insert_branch(connection, call, branch, new)
        else:
            await _check_move(connection, call.repository, row, update, graph)
            moved = await connection.fetchrow(Q.move_branch, repository_id, branch, new)
        if moved is None:
            there = await read_branches(connection, repository_id, [update.branch])
            heads = [found["head_commit"] for found in there.values()]
            raise head_moved(update.branch, "", heads[0] if heads else "")
        rows[update.branch] = moved
    if len(rows) > len(locked):
        await _count_branches(connection, repository_id, len(rows) - len(locked))
    return rows


async def _insert_branch(connection: Connection, call: Call, name: str, head: str) -> Row | None:
    """Creates a branch; returns None if it exists."""
    return await connection.fetchrow(
        Q.insert_branch, call.repository.id, name, head, call.caller.user_id
    )


async def _count_branches(connection: Connection, repository_id: UUID, change: int) -> None:
    await connection.execute(Q.count_branches, repository_id, change)


async def _check_move(
    connection: Connection,
    repository: RepositoryAccess,
    row: Row,
    update: BranchUpdate,
    graph: Mapping[str, Node],
) -> None:
    """Raises BRANCH_PROTECTED or NOT_FAST_FORWARD if the branch may not move so."""
    old = row["head_commit"]
    is_forward = await ancestry.descends_from(connection, repository.id, graph, update.new, old)
    _check_protection(row, repository, is_forward=is_forward)
    if not is_forward and not update.force:
        raise not_fast_forward(update.branch, old, update.new)


def _check_protection(row: Row, repository: RepositoryAccess, *, is_forward: bool) -> None:
    """A protected branch only moves forward; some are moved by administrators only."""
    if row["protection"] is None:
        return
    if not is_forward:
        raise branch_protected(row["name"], "forward_only")
    is_for_admins = json.loads(row["protection"]).get("push") == "admin"
    if is_for_admins and repository.permission < Permission.ADMIN:
        raise branch_protected(row["name"], "admins_only")
