"""Paths that a change only brings up to date: they become what they are on the default branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry

from services.repo.history.ancestry import read_nodes
from services.repo.history.changes import Changes, Comparison
from services.repo.history.commit_comparison import walk_comparison
from services.repo.history.diff import Trees
from services.repo.history.walk import TransactionReader
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.runtime.weighed_work import do_weighed

Q = sql.load(__file__)

# Commits that are walked past in all, to find where branches parted from the default branch; and of
# those, when histories cross, so many are looked at. Beyond, a branch counts as one that has edited.
MAX_WALK = 20_000
MAX_BASES = 10

Entries = dict[str, Entry]


@dataclass(slots=True)
class CatchUp:
    """Finds what only becomes what it is on the default branch, in the transaction of the change.

    Attributes:
        moves: the branches that exist and move: the commit where each was, and its trees.
        bases: trees in which such a commit and the default branch parted, by commit.
    """

    connection: Connection
    repository_id: UUID
    trees: Trees
    changes: Changes
    moves: Sequence[tuple[str, Comparison]] = ()
    bases: dict[str, list[str]] = field(default_factory=dict)
    walked: int = 0

    async def find_caught_up(self, paths: set[str]) -> set[str]:
        """Returns those of the paths that become what they are on the default branch."""
        head = await self._fetch_head() if paths else None
        if head is None:
            return set()
        there = await self.trees.find_entries(head["tree_hash"], paths)
        caught_up = set(paths)
        for root in self.changes.roots:
            now = await self.trees.find_entries(root.new, paths)
            before = [await self.trees.find_entries(old, paths) for old in root.old]
            caught_up -= await do_weighed(
                len(paths), _differ_from_all, paths, now, [there, *before]
            )
        return caught_up

    async def find_unedited(self, paths: set[str]) -> set[str]:
        """Returns those of the caught up paths that no branch loses an edit of its own of.

        What a branch has changed since it parted from the default branch is somebody's work there.
        """
        caught_up = await self.find_caught_up(paths)
        head = await self._fetch_head() if caught_up else None
        if head is None:
            return set()
        for old, pair in self.moves:
            if not caught_up or pair not in self.changes.differences:
                continue
            now = await self.trees.find_entries(pair.new, caught_up)
            before = await self.trees.find_entries(pair.old[0], caught_up)
            moved = await do_weighed(len(caught_up), _differ_from_all, caught_up, now, [before])
            if moved:
                caught_up -= await self._find_edited(old, head["hash"], moved, before)
        return caught_up

    async def _fetch_head(self) -> Row | None:
        return await self.connection.fetchrow(Q.default_head, self.repository_id)

    async def _find_edited(
        self, commit: str, head: str, paths: set[str], before: Entries
    ) -> set[str]:
        """Returns those of the paths that a commit has otherwise than where it parted from the head."""
        if commit not in self.bases:
            self.bases[commit] = await self._find_base_trees(commit, head)
        bases = [await self.trees.find_entries(tree, paths) for tree in self.bases[commit]]
        return await do_weighed(len(paths), _differ_from_all, paths, before, bases or [{}])

    async def _find_base_trees(self, commit: str, head: str) -> list[str]:
        """Returns the trees of the best common ancestors; none if they are too far away."""
        reader, left = TransactionReader(self.connection), MAX_WALK - self.walked
        if left <= 0:
            return []
        found, walked = await walk_comparison(reader, self.repository_id, commit, head, left)
        self.walked += walked
        bases = found.merge_bases[:MAX_BASES] if found is not None else []
        nodes = await read_nodes(self.connection, self.repository_id, bases)
        return [node.tree for node in nodes.values()]


def _differ_from_all(paths: set[str], now: Entries, others: list[Entries]) -> set[str]:
    """Returns the paths that are otherwise than in all the others."""
    return {path for path in paths if all(now.get(path) != other.get(path) for other in others)}
