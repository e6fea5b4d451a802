"""A walk down a history in short statements: some generations at a time, children before parents.

A commit's generation is one more than the highest of its parents, so below a commit of generation g there
is one of each lower generation. The n commits of the highest generations that some commits reach are
therefore fewer than n generations below the highest of these: nothing further down needs to be read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from shared.db import sql
from shared.db.pool import Database, Row
from shared.errors import contention

Q = sql.load(__file__)

# Commits that one statement is to read, and how often more than asked for it may read.
MOST_WANTED = 1_000
EXCESS = 4
# The time that one statement may take.
STATEMENT_SECONDS = 5.0


class WalkedCommit(NamedTuple):
    """A commit on the way, as a row of a window has it.

    Attributes:
        hash: its name.
        parents: hashes of its parents.
        tree: hash of its tree.
        generation: 0 without parents, else one more than the highest of the parents.
        changed_paths: its filter as it is stored; None if it has none yet.
        size: at least its bytes in a response.
        is_inside: whether it is of the window, and not just a parent of a commit that is.
    """

    hash: str
    parents: list[str]
    tree: str
    generation: int
    changed_paths: bytes | None
    size: int
    is_inside: bool


@dataclass(frozen=True, slots=True)
class Window:
    """The commits of some generations.

    Attributes:
        commits: the highest generation first, within one by hash.
        trees: hash of the tree of each of them and of all their parents.
    """

    commits: list[WalkedCommit]
    trees: dict[str, str]


class HistoryWalk:
    """Reads windows of a history. It remembers how wide the history is, and nothing of what it read."""

    def __init__(self, database: Database, repository_id: UUID) -> None:
        self._database = database
        self._repository_id = repository_id
        # Commits in one generation.
        self._width = 1.0

    async def read_window(self, frontier: Collection[str], wanted: int) -> Window:
        """Returns what some commits reach of the highest generations: about `wanted` commits.

        It is complete: no commit outside of it has the generation of one inside, or a higher one.
        Raises CONTENTION if a commit of the frontier is gone.
        """
        wanted = min(wanted, MOST_WANTED)
        generations = max(1, int(wanted / self._width))
        most = EXCESS * wanted + len(frontier)
        while True:
            limit = most if generations > 1 else None
            rows = await self._fetch(frontier, generations, limit)
            if limit is None or len(rows) < limit:
                break
            generations = max(1, generations // EXCESS)
        reached = [WalkedCommit(*row) for row in rows]
        trees = {commit.hash: commit.tree for commit in reached}
        if any(commit not in trees for commit in frontier):
            raise contention("the history changed while it was read")
        commits = [commit for commit in reached if commit.is_inside]
        commits.sort(key=_order)
        self._width = max(1.0, len(commits) / generations)
        return Window(commits, trees)

    async def _fetch(
        self, frontier: Collection[str], generations: int, limit: int | None
    ) -> list[Row]:
        arguments = (self._repository_id, list(frontier), generations, limit)
        return await self._database.fetch(Q.window, *arguments, seconds=STATEMENT_SECONDS)


def _order(commit: WalkedCommit) -> tuple[int, str]:
    return -commit.generation, commit.hash
