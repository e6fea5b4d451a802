"""The history of one path as a list: the commits that changed it, as `git log -- path` finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.repo.history.commit_log import PAGE_BYTES
from services.repo.history.path_comparison import Suspect, find_same_parents
from services.repo.history.path_filters import PathMasks
from services.repo.history.walk import HistoryWalk, WalkedCommit, Window
from shared.db.pool import Database

# Commits that are read at first; each time it is twice as many.
FIRST_WINDOW = 100
# What one page costs at most: commits that are read, and commits whose trees are looked into.
MAX_WALK = 10_000
MAX_LOOKUPS = 1_000


@dataclass(slots=True)
class PathLog:
    """One page that is being made.

    Attributes:
        path: of a file, a link or a directory.
        count: how many commits the page may have.
        waiting: commits whose turn is still to come.
        listed: the commits that changed the path.
    """

    path: str
    count: int
    waiting: set[str]
    listed: list[str] = field(default_factory=list)
    room: int = PAGE_BYTES
    is_full: bool = False
    _masks: PathMasks = field(default_factory=PathMasks)

    def select_suspects(self, window: Window) -> list[WalkedCommit]:
        """Returns the commits of a window that the list may come by and that may have changed the path."""
        waiting, suspects = set(self.waiting), []
        for commit in window.commits:
            if commit.hash not in waiting:
                continue
            if self._masks.select(commit.changed_paths, [self.path]):
                suspects.append(commit)
                waiting.update(commit.parents)
            else:
                waiting.update(commit.parents[:1])
        return suspects

    def advance(
        self, window: Window, suspects: Sequence[WalkedCommit], same: dict[tuple[str, str], int]
    ) -> None:
        """Lists and walks past the commits of a window, until the page is full.

        `same` says which parent has the path as the commit has it; where one has, the others are not
        followed.
        """
        looked_up = {commit.hash for commit in suspects}
        for commit in window.commits:
            if len(self.listed) == self.count:
                self.is_full = True
                return
            if commit.hash not in self.waiting:
                continue
            if commit.hash in looked_up and (commit.hash, self.path) not in same:
                if commit.size > self.room:
                    self.is_full = True
                    return
                self.room -= commit.size
                self.listed.append(commit.hash)
                self.waiting.update(commit.parents)
            else:
                number = same.get((commit.hash, self.path), 0)
                self.waiting.update(commit.parents[number : number + 1])
            self.waiting.discard(commit.hash)


async def list_path_commits(
    database: Database, repository_id: UUID, frontier: Sequence[str], path: str, count: int
) -> tuple[list[str], list[str]]:
    """Returns up to `count` commits that changed a path, and the next frontier, empty at the end.

    A page ends before it is full when it has cost enough. Raises CONTENTION.
    """
    walk = HistoryWalk(database, repository_id)
    page = PathLog(path, count, set(frontier))
    walked, looked_up, wanted = 0, 0, FIRST_WINDOW
    while page.waiting and not page.is_full and walked < MAX_WALK and looked_up < MAX_LOOKUPS:
        window = await walk.read_window(page.waiting, wanted)
        commits = page.select_suspects(window)
        suspects = [Suspect(commit, [path]) for commit in commits]
        same = await find_same_parents(database, repository_id, window.trees, suspects)
        page.advance(window, commits, same)
        walked, looked_up = walked + len(window.commits), looked_up + len(suspects)
        wanted *= 2
    return page.listed, sorted(page.waiting)
