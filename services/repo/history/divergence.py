"""How far branches are from the default branch."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.repo.history.commit_comparison import CommitComparison, walk_comparison
from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)

# Commits that the comparison of one branch walks past at most, and after how many a page ends.
MAX_WALK = 20_000
PAGE_WALK = 40_000
# What a comparison counts besides: its statements.
_COST = 50


async def compare_branches(
    database: Database, repository_id: UUID, heads: Sequence[str]
) -> list[CommitComparison | None]:
    """Returns how the first of some heads stand to the default branch: as many as a page has, at least one.

    None where a branch parted too long ago, and everywhere without a default branch. Raises CONTENTION.
    """
    base = await database.fetchrow(Q.default_head, repository_id)
    if base is None:
        return [None] * len(heads)
    known: dict[str, CommitComparison | None] = {}
    found: list[CommitComparison | None] = []
    cost = 0
    for head in heads:
        if head not in known:
            if cost > PAGE_WALK:
                break
            known[head], walked = await walk_comparison(
                database, repository_id, base["head_commit"], head, MAX_WALK
            )
            cost += walked + _COST
        found.append(known[head])
    return found
