"""Branches: creating, moving, renaming and deleting them, each in the caller's transaction."""

from __future__ import annotations

import asyncpg
from dits.common.v1.event_pb2 import BranchPayload, EventType

from services.repo.history import ancestry, change_rules, lock_rules
from services.repo.history.branch_moves import (
    BranchUpdate,
    compare_unreached,
    count_branches,
    insert_branches,
    lock_branches,
    move_branches,
    read_branches,
)
from services.repo.history.branch_rules import check_new_name, read_rules
from services.repo.history.catch_up import CatchUp
from services.repo.history.change_rules import ChangeRules
from services.repo.history.changes import Changes, Comparison
from services.repo.history.diff import Trees
from services.repo.history.file_rules import FileRules
from services.repo.history.former_heads import remember_heads
from services.repo.history.protection import ProtectionJudge
from services.repo.history.push_announcement import announce_push
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import default_branch, head_moved, invalid_field, name_taken, not_found
from shared.formats.shelves import is_shelf
from shared.records.events import emit
from shared.rpc.call import Call
from shared.rpc.policy import Permission

Q = sql.load(__file__)


async def create_branch(connection: Connection, call: Call, name: str, head: str) -> Row:
    """Creates a branch at a commit of the repository; returns its row.

    Changes nothing if the branch is there already. A commit that no branch reaches yet is judged like a
    push that brings it. Raises NOT_FOUND, NAME_TAKEN if the branch is elsewhere, HEAD_MOVED if it was
    created and deleted at the same moment, BRANCH_PROTECTED, FILE_REFUSED, and what `check_locks` raises.
    """
    repository_id = call.repository.id
    rules = await change_rules.lock_repository(connection, call)
    node = (await ancestry.lock_nodes(connection, repository_id, [head])).get(head)
    if node is None:
        raise not_found("commit", head)
    created = await insert_branches(connection, call, [BranchUpdate(name, "", head)])
    if created:
        protections = await (await read_rules(connection, repository_id)).collect({}, [name])
        await check_new_name(ProtectionJudge(connection, call), protections[name], name, head)
        move = await compare_unreached(connection, repository_id, head, node.tree, name)
        await _apply_rules(connection, call, rules, move, name)
        if not is_shelf(name):
            payload = BranchPayload(branch=name, after=head)
            kind = EventType.EVENT_TYPE_BRANCH_CREATED
            await emit(connection, call, kind, repository_id, payload)
        return created[name]
    row = (await lock_branches(connection, repository_id, [name])).get(name)
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
    rules = await change_rules.lock_repository(connection, call)
    rows = await read_branches(connection, repository_id, [update.branch])
    nodes = await ancestry.lock_nodes(connection, repository_id, [update.expected, update.new])
    if update.new not in nodes:
        raise not_found("commit", update.new)
    if update.branch not in rows:
        raise not_found("branch", update.branch)
    if update.must_move(rows[update.branch]["head_commit"]):
        move = update.compare(nodes)
        changes = await _apply_rules(connection, call, rules, move, update.branch, update.expected)
        rows = await move_branches(connection, call, [update], nodes, changes)
        await announce_push(connection, call, [update.describe()])
    return rows[update.branch]


async def _apply_rules(
    connection: Connection,
    call: Call,
    rules: ChangeRules,
    move: Comparison,
    branch: str,
    expected: str = "",
) -> Changes:
    """Judges the move of a branch between trees as a push, and ends the locks that it fulfils.

    Locks are not about shelves. `expected` is the commit where the branch was; empty = it is new.

    Returns what differs between the trees.
    """
    if move.new in move.old:
        return Changes()
    trees = Trees(connection, call.repository.id, {}, rules.files)
    changes = await trees.find_changes([move])
    if is_shelf(branch):
        return changes
    extent = await lock_rules.measure_locks(connection, call, changes)
    moves = [(expected, move)] if expected else []
    catch_up = CatchUp(connection, call.repository.id, trees, changes, moves)
    await lock_rules.check_locks(connection, call, rules, catch_up, extent)
    await lock_rules.release_locks(connection, call, changes, extent)
    return changes


async def delete_branch(connection: Connection, call: Call, name: str, expected: str) -> None:
    """Removes a branch that is at `expected`; its commits stay until they are collected.

    Raises DEFAULT_BRANCH, NOT_FOUND, HEAD_MOVED, BRANCH_PROTECTED, LOCK_HELD, BATCH_TOO_LARGE.
    """
    repository_id = call.repository.id
    await change_rules.lock_repository(connection, call)
    rows = await read_branches(connection, repository_id, [name])
    _require_removable(rows.get(name), name, expected)
    if not is_shelf(name):
        await _check_loss(connection, call, name, expected)
    rows = await lock_branches(connection, repository_id, [name])
    row = _require_removable(rows.get(name), name, expected)
    protections = await (await read_rules(connection, repository_id)).collect({name: row})
    await ProtectionJudge(connection, call).check_removal(name, protections[name])
    await connection.execute(Q.delete_branch, repository_id, name)
    await remember_heads(connection, repository_id, [expected])
    await count_branches(connection, repository_id, [name], -1)
    payload = BranchPayload(branch=name, before=expected)
    await emit(connection, call, EventType.EVENT_TYPE_BRANCH_DELETED, repository_id, payload)


def _require_removable(row: Row | None, name: str, expected: str) -> Row:
    """Returns the row of a branch. Raises DEFAULT_BRANCH, NOT_FOUND, HEAD_MOVED."""
    if row is None:
        raise not_found("branch", name)
    if row["is_default"]:
        raise default_branch(name)
    if row["head_commit"] != expected:
        raise head_moved(name, expected, row["head_commit"])
    return row


async def _check_loss(connection: Connection, call: Call, name: str, head: str) -> None:
    """Raises LOCK_HELD if another user has locked what no branch but one has; BATCH_TOO_LARGE.

    Until the end of the transaction no other branch is deleted, as it may be the one that has it, too.
    """
    repository_id = call.repository.id
    await connection.execute(Q.take_turn, repository_id)
    nodes = await ancestry.lock_nodes(connection, repository_id, [head])
    if head not in nodes:
        raise head_moved(name, head, "")
    move = await compare_unreached(connection, repository_id, head, nodes[head].tree, name)
    if move.new in move.old:
        return
    # Nothing is written, so the settings for files have no say.
    trees = Trees(connection, repository_id, {}, FileRules())
    changes = await trees.find_changes([move])
    extent = await lock_rules.measure_locks(connection, call, changes)
    catch_up = CatchUp(connection, repository_id, trees, changes)
    await lock_rules.check_others(connection, call, catch_up, extent)


async def rename_branch(connection: Connection, call: Call, name: str, new_name: str) -> Row:
    """Gives a branch another name; returns its row. Of the default branch, the repository learns it.

    Raises NOT_FOUND, NAME_TAKEN, BRANCH_PROTECTED; PERMISSION_MISSING for the default branch; INVALID_FIELD
    if just one of the names is a shelf's: nothing would hold its commits against locks.
    """
    if is_shelf(name) != is_shelf(new_name):
        raise invalid_field("new_name", "must be a shelf's for a shelf, and for no other branch")
    repository_id = call.repository.id
    await change_rules.lock_repository(connection, call)
    rows = await lock_branches(connection, repository_id, sorted([name, new_name]))
    if name not in rows:
        raise not_found("branch", name)
    if new_name in rows:
        raise name_taken("branch", new_name)
    if rows[name]["is_default"]:
        call.repository.require(Permission.ADMIN)
    rules, judge = await read_rules(connection, repository_id), ProtectionJudge(connection, call)
    protections = await rules.collect(rows, [new_name])
    await judge.check_removal(name, protections[name])
    await check_new_name(judge, protections[new_name], new_name, rows[name]["head_commit"])
    try:
        (row,) = await connection.fetch(Q.rename_branch, repository_id, name, new_name)
    except asyncpg.UniqueViolationError:
        raise name_taken("branch", new_name) from None
    if row["is_default"]:
        await connection.execute(Q.rename_default_branch, repository_id, name, new_name)
    if is_shelf(new_name):
        return row
    head = row["head_commit"]
    payload = BranchPayload(branch=new_name, before=head, after=head, previous_name=name)
    await emit(connection, call, EventType.EVENT_TYPE_BRANCH_RENAMED, repository_id, payload)
    return row
