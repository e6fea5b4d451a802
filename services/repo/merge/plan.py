"""What a merge of two commits comes to, found before anything is changed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from operator import attrgetter
from uuid import UUID

from services.repo.history.ancestry import Node, read_nodes
from services.repo.history.commit_comparison import compare_commits
from services.repo.merge.common_tree import CommonTree
from services.repo.merge.three_way import Conflict, Resolutions
from services.repo.merge.tree_merge import TreeMerge
from shared.db.pool import Database
from shared.errors import invalid_field, not_found, unrelated_histories
from shared.rpc.byte_budget import Hold


class Outcome(Enum):
    """What becomes of the target."""

    UP_TO_DATE = "up to date"
    FAST_FORWARD = "fast-forward"
    MERGED = "merged"
    CONFLICTS = "conflicts"


@dataclass(frozen=True, slots=True)
class MergeWish:
    """What a caller wants of two commits, by their hashes."""

    ours: str
    theirs: str
    resolutions: Resolutions
    no_fast_forward: bool = False
    allow_unrelated: bool = False


@dataclass(slots=True)
class MergePlan:
    """What a merge comes to.

    Attributes:
        bases: the best common ancestors.
        tree: hash of the merged tree.
        manifests: canonical bytes of its manifests that may be new, children first, by hash.
        conflicts: by path, those with a resolution, too.
    """

    outcome: Outcome
    bases: list[str]
    tree: str = ""
    manifests: dict[str, bytes] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def unresolved(self) -> list[Conflict]:
        """The conflicts that forbid the merge."""
        return [conflict for conflict in self.conflicts if conflict.side is None]


async def plan_merge(
    database: Database, repository_id: UUID, wish: MergeWish, hold: Hold
) -> MergePlan:
    """Returns what a merge comes to; `hold` grows by what it takes.

    Raises NOT_FOUND, UNRELATED_HISTORIES, BATCH_TOO_LARGE, CONTENTION, SERVER_BUSY, and INVALID_FIELD for a
    resolution that decides no conflict.
    """
    nodes = await _read_nodes(database, repository_id, wish)
    found = await compare_commits(database, repository_id, wish.ours, wish.theirs)
    if not found.ahead:
        plan = MergePlan(Outcome.UP_TO_DATE, found.merge_bases)
    elif not found.behind:
        outcome = Outcome.MERGED if wish.no_fast_forward else Outcome.FAST_FORWARD
        plan = MergePlan(outcome, found.merge_bases, nodes[wish.theirs].tree)
    elif not found.merge_bases and not wish.allow_unrelated:
        raise unrelated_histories(wish.ours, wish.theirs)
    else:
        common = CommonTree(database, repository_id, hold)
        base = await common.make(found.merge_bases)
        resolve = wish.resolutions.resolve
        merge = TreeMerge(database, repository_id, common.virtual, resolve, hold)
        merged = await merge.merge(base, nodes[wish.ours].tree, nodes[wish.theirs].tree)
        conflicts = await asyncio.to_thread(sorted, merged.conflicts, key=attrgetter("path"))
        plan = MergePlan(
            Outcome.MERGED, found.merge_bases, merged.tree, merged.manifests, conflicts
        )
        if plan.unresolved:
            plan.outcome = Outcome.CONFLICTS
    if unused := wish.resolutions.list_unused():
        raise invalid_field("resolutions", f"{unused[0]} is in no conflict")
    return plan


async def _read_nodes(database: Database, repository_id: UUID, wish: MergeWish) -> dict[str, Node]:
    wanted = {wish.ours, wish.theirs}
    async with database.connection() as connection:
        nodes = await read_nodes(connection, repository_id, wanted)
    for commit in sorted(wanted - nodes.keys()):
        raise not_found("commit", commit)
    return nodes
