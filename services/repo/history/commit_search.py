"""The history as a list with filters: by path, as `git log -- path`, author, time, and other histories."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.repo.history.commit_log import PAGE_BYTES
from services.repo.history.path_comparison import Suspect, find_same_parents
from services.repo.history.path_filters import PathMasks
from services.repo.history.walk import HistoryWalk, WalkedCommit, Window
from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)

# Commits that are read at first; each time it is twice as many.
FIRST_WINDOW = 100
# What one page costs at most: commits that are read, and commits whose trees are looked into.
MAX_WALK = 10_000
MAX_LOOKUPS = 1_000


@dataclass(frozen=True, slots=True)
class CommitFilter:
    """Which commits a list shows.

    Attributes:
        path: of a file, a link or a directory that they changed; empty = any.
        author: a part of `name <email>`, without regard to case; empty = any.
        since: when they were committed at the earliest; None = at any time.
        until: when they were committed no more; None = at any time.
    """

    path: str = ""
    author: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def is_empty(self) -> bool:
        """Returns whether it shows all commits."""
        return self == CommitFilter()

    async def select(
        self, database: Database, repository_id: UUID, commits: Sequence[WalkedCommit]
    ) -> set[str]:
        """Returns the hashes of those of some commits whose author and time match."""
        hashes = [commit.hash for commit in commits]
        if not hashes or not (self.author or self.since or self.until):
            return set(hashes)
        statement = Q.bind.matching_commits(
            repository_id=repository_id,
            hashes=hashes,
            author=self.author,
            since=self.since,
            until=self.until,
        )
        return {row["hash"] for row in await database.fetch(*statement)}


@dataclass(slots=True)
class CommitSearch:
    """One page that is being made.

    Attributes:
        wanted: which commits it shows.
        count: how many commits the page may have.
        waiting: commits whose turn is still to come.
        excluded: those that are left out, with all that they reach, and whose turn is still to come.
        listed: the commits found.
    """

    wanted: CommitFilter
    count: int
    waiting: set[str]
    excluded: set[str]
    listed: list[str] = field(default_factory=list)
    room: int = PAGE_BYTES
    is_full: bool = False
    _masks: PathMasks = field(default_factory=PathMasks)

    def is_done(self) -> bool:
        """Returns whether no commit that may be listed waits."""
        return self.waiting <= self.excluded

    def select_suspects(self, window: Window) -> list[WalkedCommit]:
        """Returns the commits of a window that the list may come by and that may have changed the path."""
        waiting, excluded = set(self.waiting), set(self.excluded)
        suspects = []
        for commit in window.commits:
            if commit.hash in excluded:
                excluded.update(commit.parents)
            elif commit.hash not in waiting:
                continue
            elif not self.wanted.path or self._masks.select(
                commit.changed_paths, [self.wanted.path]
            ):
                suspects.append(commit)
                waiting.update(commit.parents)
            else:
                waiting.update(commit.parents[:1])
        return suspects

    def advance(
        self,
        window: Window,
        suspects: Collection[WalkedCommit],
        same: dict[tuple[str, str], int],
        matching: set[str],
    ) -> None:
        """Lists and walks past the commits of a window, until the page is full.

        `same` says which parent has the path as the commit has it; where one has, the others are not
        followed. `matching` are those of the suspects that pass the other filters.
        """
        looked_up = {commit.hash for commit in suspects}
        for commit in window.commits:
            if len(self.listed) == self.count:
                self.is_full = True
                return
            if commit.hash in self.excluded:
                self.excluded.discard(commit.hash)
                self.excluded.update(commit.parents)
            elif commit.hash not in self.waiting:
                continue
            elif commit.hash in looked_up and (commit.hash, self.wanted.path) not in same:
                if commit.hash in matching and not self._list(commit):
                    self.is_full = True
                    return
                self.waiting.update(commit.parents)
            else:
                number = same.get((commit.hash, self.wanted.path), 0)
                self.waiting.update(commit.parents[number : number + 1])
            self.waiting.discard(commit.hash)

    def _list(self, commit: WalkedCommit) -> bool:
        """Lists a commit if the page has room for it; returns whether it has."""
        if commit.size > self.room:
            return False
        self.room -= commit.size
        self.listed.append(commit.hash)
        return True


async def search_commits(
    database: Database,
    repository_id: UUID,
    frontier: tuple[Collection[str], Collection[str]],
    wanted: CommitFilter,
    count: int,
) -> tuple[list[str], list[str], list[str]]:
    """Returns up to `count` commits that pass a filter, and the next frontier.

    A frontier are the commits that a page begins at, and those whose histories are left out; the first of
    the two is empty at the end. A page ends before it is full when it has cost enough. Raises CONTENTION.
    """
    walk = HistoryWalk(database, repository_id)
    waiting, excluded = frontier
    page = CommitSearch(wanted, count, set(waiting), set(excluded))
    walked, looked_up, size = 0, 0, FIRST_WINDOW
    while not page.is_done() and not page.is_full and walked < MAX_WALK and looked_up < MAX_LOOKUPS:
        window = await walk.read_window(page.waiting | page.excluded, size)
        suspects = page.select_suspects(window)
        same: dict[tuple[str, str], int] = {}
        if wanted.path:
            looks = [Suspect(commit, [wanted.path]) for commit in suspects]
            same = await find_same_parents(database, repository_id, window.trees, looks)
            looked_up += len(looks)
        matching = await wanted.select(database, repository_id, suspects)
        page.advance(window, suspects, same, matching)
        walked += len(window.commits)
        size *= 2
    if page.is_done():
        return page.listed, [], []
    return page.listed, sorted(page.waiting), sorted(page.excluded)
