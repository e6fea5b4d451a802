"""What the protection of a branch allows: judged while the branch is locked, by whichever RPC moves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from dits.repo.v1.ref_protection_pb2 import BranchProtection, ProtectionMembers
from google.protobuf import json_format

from services.repo.history.changes import Changes
from services.repo.history.new_commits import iterate_new_commits
from services.repo.history.walk import WalkedCommit
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import branch_protected
from shared.formats.path_patterns import PathPatterns
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Call
from shared.rpc.policy import Permission

Q = sql.load(__file__)


class Rule(StrEnum):
    """What a protection may forbid; the names that callers are told."""

    DELETION = "deletion"
    FORCE = "force"
    LINEAR_HISTORY = "linear_history"
    PERMISSION = "permission"
    RESTRICTED_PATHS = "restricted_paths"
    SIGNATURES = "signatures"


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that would be broken, and by which path or commit."""

    rule: Rule
    path: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class ProtectedMove:
    """The move of a branch that has a protection.

    Attributes:
        old: hash of the commit that it is at; of a new one, where the default branch is; empty = nowhere.
        new: hash of the commit to move it to, which is in the database.
        is_forward: the new commit descends from the old one.
        changes: what differs between their trees.
    """

    old: str
    new: str
    is_forward: bool
    changes: Changes


def parse_protection(text: str | None) -> BranchProtection:
    """Returns the protection of a branch as its row has it; without rules if there is none."""
    protection = BranchProtection()
    return json_format.Parse(text, protection, ignore_unknown_fields=True) if text else protection


async def check_move(
    connection: Connection,
    call: Call,
    branch: str,
    protections: Iterable[BranchProtection],
    move: ProtectedMove,
) -> None:
    """Raises BRANCH_PROTECTED if one of the protections of a branch forbids its move.

    Its row is locked. Raises BATCH_TOO_LARGE for too many commits or paths to judge.
    """
    for protection in protections:
        violation = await _judge_move(connection, call, protection, move)
        if violation is not None:
            await _enforce(connection, call, branch, protection, violation)


async def check_removal(
    connection: Connection, call: Call, branch: str, protections: Iterable[BranchProtection]
) -> None:
    """Raises BRANCH_PROTECTED if one of the protections of a branch forbids to delete or rename it."""
    for protection in protections:
        if protection.forbid_deletion:
            await _enforce(connection, call, branch, protection, Violation(Rule.DELETION))
        elif call.repository.permission < Permission.ADMIN:
            await _enforce(connection, call, branch, protection, Violation(Rule.PERMISSION))


async def _enforce(
    connection: Connection,
    call: Call,
    branch: str,
    protection: BranchProtection,
    violation: Violation,
) -> None:
    """Raises BRANCH_PROTECTED, or writes down that the caller may bypass it."""
    if not await is_member(connection, call, protection.bypass):
        raise branch_protected(branch, violation.rule, violation.path, violation.commit)
    repository = call.repository
    await audit(
        connection, call, AuditAction.BRANCH_PROTECTION_BYPASSED, "branch", repository.id, branch,
        repository_id=repository.id, rule=violation.rule.value, path=violation.path,
        commit=violation.commit,
    )  # fmt: skip


async def is_member(connection: Connection, call: Call, members: ProtectionMembers) -> bool:
    """Returns whether the caller is one of the users, or in one of the teams."""
    if str(call.caller.user_id) in members.user_ids:
        return True
    if not members.team_ids:
        return False
    teams = [UUID(team_id) for team_id in members.team_ids]
    rows = await connection.fetch(Q.find_teams, call.repository.id, call.caller.user_id, teams)
    return bool(rows)


async def _judge_move(
    connection: Connection, call: Call, protection: BranchProtection, move: ProtectedMove
) -> Violation | None:
    """Returns the first rule that a move breaks."""
    if protection.required_permission > call.repository.permission:
        return Violation(Rule.PERMISSION)
    if protection.forbid_force and not move.is_forward:
        return Violation(Rule.FORCE)
    path = await _find_restricted(connection, call, protection, move.changes)
    if path is not None:
        return Violation(Rule.RESTRICTED_PATHS, path=path)
    if protection.require_linear_history or protection.require_signatures:
        commits = iterate_new_commits(connection, call.repository.id, move.new, move.old)
        return await _judge_commits(connection, call, protection, commits)
    return None


async def _find_restricted(
    connection: Connection, call: Call, protection: BranchProtection, changes: Changes
) -> str | None:
    """Returns a changed path that the caller may not change."""
    if not changes.roots:
        return None
    barred = [
        restricted.patterns
        for restricted in protection.restricted_paths
        if not await is_member(connection, call, restricted.allowed)
    ]
    if not barred:
        return None
    return await asyncio.to_thread(_find_match, changes, barred)


def _find_match(changes: Changes, barred: Sequence[Sequence[str]]) -> str | None:
    """Returns a changed path that patterns match. Runs in a thread."""
    changes.require_bounded()
    parsed = [PathPatterns.parse(patterns) for patterns in barred]
    for path, _ in changes.iterate_paths():
        if any(patterns.matches(path) for patterns in parsed):
            return path
    return None


async def _judge_commits(
    connection: Connection,
    call: Call,
    protection: BranchProtection,
    commits: AsyncIterator[list[WalkedCommit]],
) -> Violation | None:
    async for some in commits:
        if protection.require_linear_history:
            for commit in some:
                if len(commit.parents) > 1:
                    return Violation(Rule.LINEAR_HISTORY, commit=commit.hash)
        if protection.require_signatures:
            names = [commit.hash for commit in some]
            unsigned = await connection.fetchval(Q.find_unsigned, call.repository.id, names)
            if unsigned is not None:
                return Violation(Rule.SIGNATURES, commit=unsigned)
    return None
