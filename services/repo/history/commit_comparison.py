"""Two histories compared: where they parted, and how much each has that the other does not have."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from services.repo.history.walk import HistoryWalk, Reader, Window
from shared.db.pool import Database
from shared.errors import batch_too_large

# Commits that are read at first; each time it is twice as many.
FIRST_WINDOW = 50
# Commits that one comparison walks past at most.
MAX_WALK = 200_000

# Which of the two reach a commit; and whether a better common ancestor does.
_BASE, _HEAD, _STALE = 1, 2, 4
_BOTH = _BASE | _HEAD


@dataclass(slots=True)
class CommitComparison:
    """How two commits, base and head, stand to each other.

    Attributes:
        merge_bases: the best common ancestors, the highest generation first; several after crossing merges.
        ahead: commits that the head reaches and the base does not.
        behind: commits that the base reaches and the head does not.
    """

    merge_bases: list[str] = field(default_factory=list)
    ahead: int = 0
    behind: int = 0

    @property
    def is_ancestor(self) -> bool:
        """Whether the base is the head or an ancestor of it."""
        return not self.behind


async def compare_commits(
    database: Database, repository_id: UUID, base: str, head: str
) -> CommitComparison:
    """Returns how two commits stand to each other. Only where the walk stands is in memory.

    Raises BATCH_TOO_LARGE if they parted too long ago, CONTENTION.
    """
    found, walked = await walk_comparison(database, repository_id, base, head, MAX_WALK)
    if found is None:
        raise batch_too_large("base", MAX_WALK, walked)
    return found


async def walk_comparison(
    reader: Reader, repository_id: UUID, base: str, head: str, most: int
) -> tuple[CommitComparison | None, int]:
    """Returns how two commits stand to each other, and how many commits were walked past.

    None if these are more than `most`. Raises CONTENTION.
    """
    walk, marks = HistoryWalk(reader, repository_id), CommitMarks(base, head)
    walked, wanted = 0, FIRST_WINDOW
    while not marks.is_done():
        window = await walk.read_window(marks.waiting, wanted)
        marks.advance(window)
        walked, wanted = walked + len(window.commits), wanted * 2
        if walked > most:
            return None, walked
    return marks.found, walked


class CommitMarks:
    """Marks of the commits at which the walk stands: every child has had its turn before its parents."""

    def __init__(self, base: str, head: str) -> None:
        self.waiting = {base: _BASE, head: _HEAD} if base != head else {base: _BOTH}
        self.found = CommitComparison()

    def is_done(self) -> bool:
        """Returns whether all that wait are reached by a common ancestor that was found."""
        return all(mark & _STALE for mark in self.waiting.values())

    def advance(self, window: Window) -> None:
        """Walks past the commits of a window."""
        for commit in window.commits:
            mark = self.waiting.pop(commit.hash)
            if mark == _BOTH:
                self.found.merge_bases.append(commit.hash)
                mark |= _STALE
            elif mark == _HEAD:
                self.found.ahead += 1
            elif mark == _BASE:
                self.found.behind += 1
            for parent in commit.parents:
                self.waiting[parent] = self.waiting.get(parent, 0) | mark
