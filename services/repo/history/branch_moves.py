"""The moves of branches by compare-and-swap, whichever RPC asks for them, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from dits.common.v1.event_pb2 import BranchPayload
from dits.repo.v1.ref_protection_pb2 import BranchProtection

from services.repo.history import ancestry
from services.repo.history.ancestry import Node
from services.repo.history.branch_rules import check_new_name, read_rules
from services.repo.history.changes import Changes, Comparison
from services.repo.history.former_heads import remember_heads
from services.repo.history.protection import ProtectedMove, ProtectionJudge
from services.repo.history.unreached import find_reached_trees
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import batch_too_large, head_moved, not_fast_forward
from shared.formats.shelves import is_shelf
from shared.rpc.call import Call

Q = sql.load(__file__)


# Commits that are walked past at most for the branches of a push that exist; each may pass all of it.
MAX_STEPS = 5_000_000


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

    def compare(self, graph: Mapping[str, Node]) -> Comparison:
        """Returns the trees of a branch that exists, before and after."""
        return Comparison((graph[self.expected].tree,), graph[self.new].tree)

    def describe(self) -> BranchPayload:
        """Returns what events tell of the move."""
        return BranchPayload(branch=self.branch, before=self.expected, after=self.new)


async def compare_unreached(
    connection: Connection, repository_id: UUID, commit: str, tree: str, branch: str = ""
) -> Comparison:
    """Returns how the tree of a commit differs from what branches other than `branch` reach already."""
    trees = await find_reached_trees(connection, repository_id, commit, branch)
    return Comparison(tuple(trees) or (None,), tree)


async def read_branches(
    connection: Connection, repository_id: UUID, names: Sequence[str]
) -> dict[str, Row]:
    """Returns the rows of some branches by name, without a lock; those that exist."""
    rows = await connection.fetch(Q.branches, repository_id, names)
    return {row["name"]: row for row in rows}


async def lock_branches(
    connection: Connection, repository_id: UUID, names: Sequence[str]
) -> dict[str, Row]:
    """Returns the rows of some branches by name, locked; those that exist."""
    rows = await connection.fetch(Q.lock_branches, repository_id, names)
    return {row["name"]: row for row in rows}


async def find_moves(
    connection: Connection, repository_id: UUID, updates: Sequence[BranchUpdate]
) -> list[BranchUpdate]:
    """Returns those of the updates whose branches are not there yet. Raises HEAD_MOVED."""
    rows = await read_branches(connection, repository_id, [update.branch for update in updates])
    heads = {name: row["head_commit"] for name, row in rows.items()}
    return [update for update in updates if update.must_move(heads.get(update.branch, ""))]


async def move_branches(
    connection: Connection,
    call: Call,
    updates: Sequence[BranchUpdate],
    graph: Mapping[str, Node],
    changes: Changes,
) -> dict[str, Row]:
    """Moves or creates branches, all or none; returns their rows by name.

    `graph` has the commits that the updates name, which are in the database; `changes` what differs between
    their trees, judged. If another transaction has done one of the moves, the caller's is repeated.

    Raises HEAD_MOVED, BRANCH_PROTECTED, NOT_FAST_FORWARD, BATCH_TOO_LARGE.
    """
    repository_id = call.repository.id
    rows = await lock_branches(connection, repository_id, [update.branch for update in updates])
    rules = await read_rules(connection, repository_id)
    protections = await rules.collect(rows, [update.branch for update in updates])
    judge = ProtectionJudge(connection, call)
    moved = [update for update in updates if update.branch in rows]
    _require_bounded(len(moved), graph)
    created: list[BranchUpdate] = []
    left: list[str] = []
    for update in updates:
        row = rows.get(update.branch)
        if not update.must_move(row["head_commit"] if row else ""):
            raise asyncpg.SerializationError("another call has moved a branch there meanwhile")
        if row is None:
            await check_new_name(judge, protections[update.branch], update.branch, update.new)
            created.append(update)
        elif not await _check_move(judge, protections[update.branch], update, graph, changes):
            left.append(update.expected)
    await remember_heads(connection, repository_id, left)
    if created:
        rows |= await _create_branches(connection, call, created)
    if moved:
        names, heads = [update.branch for update in moved], [update.new for update in moved]
        found = await connection.fetch(Q.move_branches, repository_id, names, heads)
        return rows | {row["name"]: row for row in found}
    return rows


def _require_bounded(moves: int, graph: Mapping[str, Node]) -> None:
    """Raises BATCH_TOO_LARGE if to walk the graph for each move of a branch takes too many steps."""
    if moves * len(graph) > MAX_STEPS:
        raise batch_too_large("refs.updates", MAX_STEPS // len(graph), moves)


async def insert_branches(
    connection: Connection, call: Call, updates: Sequence[BranchUpdate]
) -> dict[str, Row]:
    """Creates those of some branches that do not exist, and counts them; returns their rows by name."""
    insert = Q.bind.insert_branches(
        repository_id=call.repository.id,
        user_id=call.caller.user_id,
        names=[update.branch for update in updates],
        heads=[update.new for update in updates],
    )
    try:
        rows = await connection.fetch(*insert)
    except asyncpg.UniqueViolationError as error:
        # The default branch has got another name meanwhile: a repetition reads which.
        raise asyncpg.SerializationError(str(error)) from None
    await count_branches(connection, call.repository.id, [row["name"] for row in rows], 1)
    return {row["name"]: row for row in rows}


async def _create_branches(
    connection: Connection, call: Call, updates: Sequence[BranchUpdate]
) -> dict[str, Row]:
    """Creates branches; returns their rows by name.

    If another transaction has created one of them meanwhile, the caller's is repeated: the branch may be
    where it shall be.
    """
    rows = await insert_branches(connection, call, updates)
    if len(rows) < len(updates):
        raise asyncpg.SerializationError("a branch was created meanwhile")
    return rows


async def count_branches(
    connection: Connection, repository_id: UUID, names: Iterable[str], change: int
) -> None:
    """Adds `change` to the number of branches of the repository for each of some; shelves do not count."""
    if count := sum(not is_shelf(name) for name in names):
        await connection.execute(Q.count_branches, repository_id, change * count)


async def _check_move(
    judge: ProtectionJudge,
    protections: Sequence[BranchProtection],
    update: BranchUpdate,
    graph: Mapping[str, Node],
    changes: Changes,
) -> bool:
    """Returns whether the branch moves forward, and leaves no commits behind.

    Raises BRANCH_PROTECTED or NOT_FAST_FORWARD if it may not move so.
    """
    old, new = update.expected, update.new
    repository_id = judge.call.repository.id
    is_forward = await ancestry.descends_from(
        judge.connection, repository_id, graph, new, old, judge.descents
    )
    if protections:
        paths = changes.select(update.compare(graph))
        move = ProtectedMove(old, new, is_forward, paths)
        await judge.check_move(update.branch, protections, move)
    if not is_forward and not update.force:
        raise not_fast_forward(update.branch, old, new)
    return is_forward
