"""The tree that a merge compares both sides with: that of the common ancestor, or one made of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.repo.history.ancestry import read_nodes
from services.repo.history.commit_comparison import compare_commits
from services.repo.merge.three_way import Resolutions
from services.repo.merge.tree_merge import TreeMerge
from shared.db.pool import Database
from shared.errors import contention
from shared.rpc.byte_budget import Hold

# Merges of common ancestors in one another, and in all, for one merge. Beyond, nothing is known of what
# they come from: all in which they differ is undecided, and more is in conflict then.
MAX_DEPTH = 4
MAX_MERGES = 16


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
    _merges: int = 0

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
        for other in bases[1:]:
            self._merges += 1
            is_guess = depth >= MAX_DEPTH or self._merges > MAX_MERGES
            above = None if is_guess else await self._make_above(bases[0], other, depth)
            merge = TreeMerge(
                self.database,
                self.repository_id,
                self.virtual,
                Resolutions().resolve,
                self.hold,
                is_base=True,
                is_guess=is_guess,
            )
            merged = await merge.merge(above, tree, nodes[other].tree)
            self.virtual |= merged.manifests
            tree = merged.tree
        return tree

    async def _make_above(self, one: str, other: str, depth: int) -> str | None:
        """Returns the tree of the common ancestors of two common ancestors."""
        found = await compare_commits(self.database, self.repository_id, one, other)
        return await self.make(found.merge_bases, depth + 1)
