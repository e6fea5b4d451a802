"""What the protection of a branch allows: judged while the branch is locked, by whichever RPC moves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from dits.repo.v1.ref_protection_pb2 import BranchProtection, ProtectionMembers
from google.protobuf import json_format

from services.repo.history.changes import Changes, Comparison
from services.repo.history.diff import Trees
from services.repo.history.file_rules import FileRules
from services.repo.history.new_commits import iterate_new_commits
from services.repo.history.walk import WalkCount
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import batch_too_large, branch_protected
from shared.formats.path_patterns import PathPatterns
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Call
from shared.rpc.policy import Permission
from shared.runtime.weighed_work import STEPS_ON_LOOP

Q = sql.load(__file__)

# For all branches of one call together: commits that are walked past to see whether they move forward, and
# to be judged, bytes of protections, entries of trees that are compared, and how often a path is held
# against patterns, which takes some 2 microseconds.
MOST_STEPS = 5_000_000
MOST_COMMITS = 250_000
MOST_BYTES = 4 << 20
MOST_ENTRIES = 5_000_000
MOST_MATCHES = 20_000_000


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


async def is_member(connection: Connection, call: Call, members: ProtectionMembers) -> bool:
    """Returns whether the caller is one of the users, or in one of the teams."""
    if str(call.caller.user_id) in members.user_ids:
        return True
    if not members.team_ids:
        return False
    teams = [UUID(team_id) for team_id in members.team_ids]
    rows = await connection.fetch(Q.find_teams, call.repository.id, call.caller.user_id, teams)
    return bool(rows)


def require_judgeable(protections: Iterable[Sequence[BranchProtection]]) -> None:
    """Raises BATCH_TOO_LARGE if there is too much to judge for the branches of one call."""
    size = sum(protection.ByteSize() for some in protections for protection in some)
    if size > MOST_BYTES:
        raise batch_too_large("bytes of what protects the branches", MOST_BYTES, size)


@dataclass(slots=True)
class ProtectionJudge:
    """Holds the branches of one call against their protections, in its transaction.

    What several branches have in common, as a rule for all of them, is read once.

    Attributes:
        descents: the commits that were walked past to see whether branches move forward.
    """

    connection: Connection
    call: Call
    descents: WalkCount = field(default_factory=lambda: WalkCount(MOST_STEPS))
    _members: dict[bytes, bool] = field(default_factory=dict)
    _patterns: dict[tuple[str, ...], PathPatterns] = field(default_factory=dict)
    _changes: dict[Comparison, Changes] = field(default_factory=dict)
    _bypassed: set[tuple[str, Violation]] = field(default_factory=set)
    _walked: WalkCount = field(default_factory=lambda: WalkCount(MOST_COMMITS))
    _entries: int = 0
    _matches: int = 0

    async def check_move(
        self, branch: str, protections: Sequence[BranchProtection], move: ProtectedMove
    ) -> None:
        """Raises BRANCH_PROTECTED if one of the protections of a branch forbids its move.

        Its row is locked. Raises BATCH_TOO_LARGE for too many commits or paths to judge.
        """
        for protection in protections:
            if protection.required_permission > self.call.repository.permission:
                await self._enforce(branch, protection, Violation(Rule.PERMISSION))
            if protection.forbid_force and not move.is_forward:
                await self._enforce(branch, protection, Violation(Rule.FORCE))
            path = await self._find_restricted(protection, move.changes)
            if path is not None:
                await self._enforce(branch, protection, Violation(Rule.RESTRICTED_PATHS, path=path))
        async for protection, violation in self._judge_commits(protections, move):
            await self._enforce(branch, protection, violation)

    async def check_removal(self, branch: str, protections: Iterable[BranchProtection]) -> None:
        """Raises BRANCH_PROTECTED if one of the protections of a branch forbids to delete or rename it."""
        for protection in protections:
            if protection.forbid_deletion:
                await self._enforce(branch, protection, Violation(Rule.DELETION))
            elif self.call.repository.permission < Permission.ADMIN:
                await self._enforce(branch, protection, Violation(Rule.PERMISSION))

    async def compare(self, pair: Comparison) -> Changes:
        """Returns what differs between two trees. What is in the files was judged where they were brought.

        Raises BATCH_TOO_LARGE.
        """
        if pair.new in pair.old:
            return Changes()
        if pair not in self._changes:
            if self._entries > MOST_ENTRIES:
                raise batch_too_large("entries to compare", MOST_ENTRIES, self._entries)
            trees = Trees(self.connection, self.call.repository.id, {}, FileRules())
            self._changes = {pair: await trees.find_changes([pair])}
            self._entries += self._changes[pair].steps
        return self._changes[pair]

    async def _enforce(
        self, branch: str, protection: BranchProtection, violation: Violation
    ) -> None:
        """Raises BRANCH_PROTECTED, or writes down that the caller may bypass it."""
        if not await self._is_member(protection.bypass):
            raise branch_protected(branch, violation.rule, violation.path, violation.commit)
        if (branch, violation) in self._bypassed:
            return
        self._bypassed.add((branch, violation))
        repository = self.call.repository
        await audit(
            self.connection, self.call, AuditAction.BRANCH_PROTECTION_BYPASSED, "branch", repository.id,
            branch, repository_id=repository.id, rule=violation.rule.value, path=violation.path,
            commit=violation.commit,
        )  # fmt: skip

    async def _is_member(self, members: ProtectionMembers) -> bool:
        key = members.SerializeToString(deterministic=True)
        if key not in self._members:
            self._members[key] = await is_member(self.connection, self.call, members)
        return self._members[key]

    async def _find_restricted(self, protection: BranchProtection, changes: Changes) -> str | None:
        """Returns a changed path that the caller may not change."""
        if not changes.roots:
            return None
        barred = [
            tuple(restricted.patterns)
            for restricted in protection.restricted_paths
            if not await self._is_member(restricted.allowed)
        ]
        if not barred:
            return None
        if changes.steps > STEPS_ON_LOOP:
            await self.connection.execute(Q.take_time)
        return await asyncio.to_thread(self._find_match, changes, barred)

    def _find_match(self, changes: Changes, barred: Sequence[tuple[str, ...]]) -> str | None:
        """Returns a changed path that patterns match. Runs in a thread."""
        changes.require_bounded()
        self._matches += changes.count_paths() * len(barred)
        if self._matches > MOST_MATCHES:
            raise batch_too_large("paths times patterns", MOST_MATCHES, self._matches)
        for patterns in barred:
            if patterns not in self._patterns:
                self._patterns[patterns] = PathPatterns.parse(patterns)
        parsed = [self._patterns[patterns] for patterns in barred]
        for path, _ in changes.iterate_paths():
            if any(patterns.matches(path) for patterns in parsed):
                return path
        return None

    async def _judge_commits(
        self, protections: Sequence[BranchProtection], move: ProtectedMove
    ) -> AsyncIterator[tuple[BranchProtection, Violation]]:
        """Yields the first commit that breaks a rule, for each protection that has the rule."""
        linear = [each for each in protections if each.require_linear_history]
        signed = [each for each in protections if each.require_signatures]
        if not linear and not signed:
            return
        repository_id = self.call.repository.id
        async for some in iterate_new_commits(
            self.connection, repository_id, move.new, move.old, self._walked
        ):
            merge = next((commit.hash for commit in some if len(commit.parents) > 1), None)
            if merge is not None:
                for protection in linear:
                    yield protection, Violation(Rule.LINEAR_HISTORY, commit=merge)
                linear = []
            if signed:
                names = [commit.hash for commit in some]
                unsigned = await self.connection.fetchval(Q.find_unsigned, repository_id, names)
                if unsigned is not None:
                    for protection in signed:
                        yield protection, Violation(Rule.SIGNATURES, commit=unsigned)
                    signed = []
            if not linear and not signed:
                return
