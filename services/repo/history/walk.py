"""A walk down a history in short statements: some generations at a time, children before parents.

A commit's generation is one more than the highest of its parents, so below a commit of generation g there
is one of each lower generation. The n commits of the highest generations that some commits reach are
therefore fewer than n generations below the highest of these: nothing further down needs to be read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import batch_too_large, contention

Q = sql.load(__file__)

# Commits that one statement is to read, and how often more than asked for it may read. What it has read is
# one step of the event loop: 400 commits take 3 ms.
MOST_WANTED = 400
EXCESS = 4
# Commits of one generation that one statement reads: each may have 64 parents.
MOST_OF_GENERATION = 100
# Commits at which a walk may stand at once: their hashes make a page token of 900 KB.
MAX_FRONTIER = 10_000
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
        found: how many of the commits there are at which the walk stands.
    """

    hash: str
    parents: list[str]
    tree: str
    generation: int
    changed_paths: bytes | None
    size: int
    is_inside: bool
    found: int


@dataclass(frozen=True, slots=True)
class Window:
    """The commits of some generations.

    Attributes:
        commits: the highest generation first, within one by hash.
        trees: hash of the tree of each of them and of all their parents.
    """

    commits: list[WalkedCommit]
    trees: dict[str, str]


@dataclass(slots=True)
class WalkCount:
    """The commits that one call has walked past, of so many."""

    most: int
    commits: int = 0

    def require_bounded(self) -> None:
        """Raises BATCH_TOO_LARGE if there were more."""
        if self.commits > self.most:
            raise batch_too_large("commits of all branches", self.most, self.commits)


class Reader(Protocol):
    """What runs the statements of a walk: a database, or a transaction."""

    async def fetch(self, query: str, *arguments: Any, seconds: float | None = None) -> list[Row]:
        """Returns all rows of one statement, which is cancelled if it takes longer than `seconds`."""


class TransactionReader:
    """Runs the statements of a walk in a transaction, which sees the commits that it has added."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch(self, query: str, *arguments: Any, seconds: float | None = None) -> list[Row]:
        """Returns all rows of one statement, which is cancelled if it takes longer than `seconds`."""
        return await self._connection.fetch(query, *arguments, timeout=seconds)


class HistoryWalk:
    """Reads windows of a history. It remembers how wide the history is, and nothing of what it read."""

    def __init__(self, reader: Reader, repository_id: UUID) -> None:
        self._reader = reader
        self._repository_id = repository_id
        # Commits in one generation.
        self._width = 1.0

    async def read_window(self, frontier: Collection[str], wanted: int) -> Window:
        """Returns what some commits reach of the highest generations: about `wanted` commits.

        It is complete: no commit outside of it comes before one inside. Raises CONTENTION if a commit of
        the frontier is gone, BATCH_TOO_LARGE if there are too many.
        """
        if len(frontier) > MAX_FRONTIER:
            raise batch_too_large("revision", MAX_FRONTIER, len(frontier))
        wanted = min(wanted, MOST_WANTED)
        generations, most = max(1, int(wanted / self._width)), EXCESS * wanted
        rows: list[Row] = []
        while generations > 1:
            rows = await self._fetch(Q.window, frontier, generations, most)
            if len(rows) < most:
                break
            generations //= EXCESS
        if generations <= 1:
            generations = 1
            rows = await self._fetch(Q.highest_generation, frontier, MOST_OF_GENERATION)
        reached = [WalkedCommit(*row) for row in rows]
        if not reached or reached[0].found < len(frontier):
            raise contention("the history changed while it was read")
        commits = [commit for commit in reached if commit.is_inside]
        commits.sort(key=_order)
        self._width = max(1.0, len(commits) / generations)
        return Window(commits, {commit.hash: commit.tree for commit in reached})

    async def _fetch(self, query: str, frontier: Collection[str], *arguments: int) -> list[Row]:
        values = (self._repository_id, list(frontier), *arguments)
        return await self._reader.fetch(query, *values, seconds=STATEMENT_SECONDS)


def _order(commit: WalkedCommit) -> tuple[int, str]:
    return -commit.generation, commit.hash
