"""The tree that a merge compares both sides with: that of the common ancestor, or one made of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from uuid import UUID

from services.repo.history.ancestry import read_nodes
from services.repo.history.commit_comparison import compare_commits
from services.repo.merge.three_way import Resolutions
from services.repo.merge.tree_merge import TreeMerge
from shared.db.pool import Database
from shared.errors import contention
from shared.rpc.byte_budget import Hold

# Merges of common ancestors in one another, and comparisons of two of them in all, for one merge. Beyond,
# nothing is known of what they come from: all in which they differ is undecided, and more is in conflict.
MAX_DEPTH = 4
MAX_COMPARISONS = 32


@dataclass(slots=True)
class CommonTree:
    """Makes common ancestors of commits whose merges cross into one tree, as Git's recursive merge does.

    Attributes:
        virtual: canonical bytes of the manifests made for it, by hash; they are never stored.
    """

    database: Database
    repository_id: UUID
    hold: Hold
    virtual: dict[str, bytes] = field(default_factory=dict)
    _comparisons: int = 0

    async def make(self, bases: Sequence[str], depth: int = 0) -> str | None:
        """Returns the tree of some common ancestors; None without any. Raises CONTENTION, BATCH_TOO_LARGE.

        Where the ancestors do not agree on a path, the tree has something there that no other has.
        """
        if not bases:
            return None
        async with self.database.connection() as connection:
            nodes = await read_nodes(connection, self.repository_id, bases)
        if len(nodes) < len(bases):
            raise contention("the history changed while it was merged")
        tree = nodes[bases[0]].tree
        for at, other in enumerate(bases[1:], start=1):
            ancestors = await self._find_above(bases[:at], other, depth)
            above = await self.make(ancestors, depth + 1) if ancestors else None
            merge = TreeMerge(
                self.database,
                self.repository_id,
                self.virtual,
                Resolutions().resolve,
                self.hold,
                is_base=True,
                is_guess=ancestors is None,
            )
            merged = await merge.merge(above, tree, nodes[other].tree)
            self.virtual |= merged.manifests
            tree = merged.tree
        return tree

    async def _find_above(self, merged: Sequence[str], other: str, depth: int) -> list[str] | None:
        """Returns the best common ancestors of another one with all of some; None = too much to do."""
        pairs = [(each, other) for each in merged]
        if depth >= MAX_DEPTH or not self._may_compare(pairs):
            return None
        found = dict.fromkeys([base for pair in pairs for base in await self._compare(*pair)])
        pairs = list(combinations(found, 2)) if len(merged) > 1 else []
        if not self._may_compare(pairs):
            return None
        for pair in pairs:
            bases = await self._compare(*pair)
            # One that the other reaches is no better than it.
            if len(bases) == 1 and bases[0] in pair:
                found.pop(bases[0], None)
        return list(found)

    def _may_compare(self, pairs: Sequence[tuple[str, str]]) -> bool:
        self._comparisons += len(pairs)
        return self._comparisons <= MAX_COMPARISONS

    async def _compare(self, one: str, other: str) -> list[str]:
        found = await compare_commits(self.database, self.repository_id, one, other)
        return found.merge_bases
