"""Rules that protect branches by their names: which there are, and what they say of a branch.

Who changes them has the repository for himself, and what moves branches reads them after it has locked the
repository: so a rule counts for every move that is not done when it is set.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from dits.common.v1.event_pb2 import BranchPayload, EventType
from dits.repo.v1.ref_protection_pb2 import BranchProtection, BranchRule
from dits.repo.v1.ref_service_pb2 import GetBranchRulesResponse
from google.protobuf import json_format

from services.repo.history import change_rules
from services.repo.history.changes import Changes, Comparison
from services.repo.history.protection import (
    ProtectedMove,
    ProtectionJudge,
    parse_protection,
    require_judgeable,
)
from services.repo.history.protection_changes import (
    describe_protection,
    list_members,
    parse_branch_protection,
    parse_patterns,
    require_bounded,
    require_members,
)
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field, limit_reached
from shared.formats.path_patterns import PathPatterns, matches_name
from shared.formats.shelves import is_shelf
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc.call import Call
from shared.runtime.weighed_work import do_weighed

Q = sql.load(__file__)

MOST_RULES = 50
# Of the JSON of a protection.
BYTES_PER_STEP = 16


@dataclass(frozen=True, slots=True)
class BranchRules:
    """The rules of a repository, by pattern."""

    rules: Sequence[BranchRule] = ()
    patterns: Sequence[PathPatterns] = ()

    @classmethod
    def parse(cls, text: str | None) -> BranchRules:
        """Returns rules as they are stored. Takes a while if there are many."""
        if not text:
            return cls()
        stored = json_format.Parse(text, GetBranchRulesResponse(), ignore_unknown_fields=True)
        return cls(stored.rules, [PathPatterns.parse([rule.pattern]) for rule in stored.rules])

    def select(self, branch: str) -> list[BranchRule]:
        """Returns those that are about a branch; none are about shelves. For many branches, in a thread."""
        if not self.rules or is_shelf(branch):
            return []
        pairs = zip(self.rules, self.patterns, strict=True)
        return [rule for rule, pattern in pairs if matches_name(pattern, branch)]

    async def collect(
        self, rows: Mapping[str, Row], names: Collection[str] = ()
    ) -> dict[str, list[BranchProtection]]:
        """Returns all that protects some branches: what each has of its own, and the rules.

        And what protects branches of some names, if they were made. Raises BATCH_TOO_LARGE.
        """
        own = {name: row["protection"] for name, row in rows.items() if row["protection"]}
        every = [*dict.fromkeys([*rows, *names])]
        steps = len(every) * len(self.rules) + sum(map(len, own.values())) // BYTES_PER_STEP
        return await do_weighed(steps, self._collect, every, own)

    def _collect(
        self, names: Iterable[str], own: Mapping[str, str]
    ) -> dict[str, list[BranchProtection]]:
        found = {
            name: [
                *([parse_protection(own[name])] if name in own else []),
                *(rule.protection for rule in self.select(name)),
            ]
            for name in names
        }
        require_judgeable(found.values())
        return found


async def read_rules(source: Connection | Database, repository_id: UUID) -> BranchRules:
    """Returns the rules of a repository; to be judged, of one that the transaction has locked before."""
    row = await source.fetchrow(Q.read_rules, repository_id)
    text = row["branch_rules"] if row else None
    return await asyncio.to_thread(BranchRules.parse, text) if text else BranchRules()


def parse_rule(rule: BranchRule) -> BranchRule:
    """Returns a rule in the form in which it is stored. Raises INVALID_FIELD, BATCH_TOO_LARGE."""
    pattern = unicodedata.normalize("NFC", rule.pattern)
    if not pattern or pattern.startswith("!"):
        raise invalid_field("rule.pattern", "must be a pattern without `!`")
    parse_patterns("rule.pattern", [pattern])
    parsed = parse_branch_protection(rule.protection, "rule.protection")
    return BranchRule(pattern=pattern, protection=parsed)


async def set_rule(connection: Connection, call: Call, rule: BranchRule) -> None:
    """Replaces the rule of a pattern; removes it if nothing is left of it.

    Waits for all that moves branches. Raises LIMIT_REACHED, BATCH_TOO_LARGE, and INVALID_FIELD for users
    and teams that do not exist and that the rule did not name before.
    """
    repository_id = call.repository.id
    await change_rules.lock_repository(connection, call, alone=True)
    stored = {each.pattern: each for each in (await read_rules(connection, repository_id)).rules}
    old = stored.pop(rule.pattern, BranchRule(pattern=rule.pattern))
    before, after = (list_members(each.protection, "rule.protection") for each in (old, rule))
    await require_members(connection, call, after, before)
    if rule.protection != BranchProtection():
        stored[rule.pattern] = rule
    if len(stored) > MOST_RULES:
        raise limit_reached("rules for branches", MOST_RULES)
    rules = GetBranchRulesResponse(rules=[stored[pattern] for pattern in sorted(stored)])
    require_bounded(rules)
    await connection.execute(Q.set_rules, repository_id, describe_protection(rules) or None)
    if old.protection != rule.protection:
        await audit(
            connection, call, AuditAction.BRANCH_PROTECTION_CHANGED, "branch", repository_id, rule.pattern,
            repository_id=repository_id, protection=describe_protection(rule.protection),
        )  # fmt: skip
        kind = EventType.EVENT_TYPE_BRANCH_PROTECTION_CHANGED
        await emit(connection, call, kind, repository_id, BranchPayload(branch=rule.pattern))


async def check_new_name(
    judge: ProtectionJudge, protections: Sequence[BranchProtection], name: str, head: str
) -> None:
    """Raises BRANCH_PROTECTED if what protects a name forbids that a branch gets it.

    Its commit is in the database. Raises BATCH_TOO_LARGE for too many commits or paths to judge.
    """
    if not protections:
        return
    (row,) = await judge.connection.fetch(Q.find_base, judge.call.repository.id, head, name)
    changes = Changes()
    if any(each.restricted_paths for each in protections):
        changes = await judge.compare(Comparison((row["base_tree"],), row["tree_hash"]))
    await judge.check_move(name, protections, ProtectedMove(row["base"] or "", head, True, changes))
