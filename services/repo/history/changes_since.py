"""What one history has changed that another does not have."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from uuid import UUID

from services.repo.history.path_comparison import (
    Comparison,
    Suspect,
    find_differences,
    find_same_parents,
)
from services.repo.history.path_filters import PathMasks
from services.repo.history.revisions import Revision
from services.repo.history.walk import HistoryWalk, WalkedCommit, Window
from shared.db.pool import Database
from shared.errors import batch_too_large

# Commits that are read at first; each time it is twice as many.
FIRST_WINDOW = 50
# Commits that one call walks past at most.
MAX_WALK = 200_000
# Paths of commits that are looked up in trees at once.
LOOKUPS = 2_000
# Paths of commits above which filters are asked in a thread.
MOST_ON_LOOP = 5_000


async def find_changes_since(
    database: Database,
    repository_id: UUID,
    head: Revision,
    base: Revision,
    paths: Collection[str],
) -> dict[str, str]:
    """Returns the paths that a commit of `head` and not of `base` changed, each with that commit.

    Paths that are the same in both trees are left out. Of several commits the one of the highest
    generation counts: no other of them descends from it. Raises BATCH_TOO_LARGE if there are too many
    commits between the two, CONTENTION.
    """
    whole = Comparison("", base.tree, head.tree, paths)
    left = (await find_differences(database, repository_id, [whole]))[""]
    walk, masks = HistoryWalk(database, repository_id), PathMasks()
    ends = OpenEnds(head.commit, base.commit)
    found: dict[str, str] = {}
    walked, wanted = 0, FIRST_WINDOW
    while left and ends.has_unknown():
        window = await walk.read_window(ends.waiting, wanted)
        unknown = ends.advance(window)
        suspects = await _select_suspects(masks, unknown, frozenset(left))
        for some in split_suspects(suspects):
            same = await find_same_parents(database, repository_id, window.trees, some)
            for suspect in some:
                commit = suspect.commit.hash
                changed = {path for path in suspect.paths if (commit, path) not in same} & left
                found |= dict.fromkeys(changed, commit)
                left -= changed
            if not left:
                break
        walked, wanted = walked + len(window.commits), wanted * 2
        if walked > MAX_WALK:
            raise batch_too_large("base_commit", MAX_WALK, walked)
    return found


class OpenEnds:
    """The commits at which a walk down two histories stands; the base may be empty.

    Every commit is reached by all its children before its own turn comes, so by then it is known whether
    it is of the base.

    Attributes:
        waiting: commits whose turn is still to come.
    """

    def __init__(self, head: str, base: str) -> None:
        self._of_base = {base} if base else set()
        self.waiting = {head, *self._of_base}

    def has_unknown(self) -> bool:
        """Returns whether a commit that is not of the base waits."""
        return len(self.waiting) > len(self._of_base)

    def advance(self, window: Window) -> list[WalkedCommit]:
        """Walks past the commits of a window; returns those that are not of the base, in order."""
        unknown = []
        for commit in window.commits:
            self.waiting.discard(commit.hash)
            self.waiting.update(commit.parents)
            if commit.hash in self._of_base:
                self._of_base.discard(commit.hash)
                self._of_base.update(commit.parents)
            else:
                unknown.append(commit)
        return unknown


async def _select_suspects(
    masks: PathMasks, commits: Sequence[WalkedCommit], paths: Collection[str]
) -> list[Suspect]:
    if len(commits) * len(paths) <= MOST_ON_LOOP:
        return select_suspects(masks, commits, paths)
    return await asyncio.to_thread(select_suspects, masks, commits, paths)


def select_suspects(
    masks: PathMasks, commits: Iterable[WalkedCommit], paths: Collection[str]
) -> list[Suspect]:
    """Returns the commits that may have changed some of the paths, with these."""
    suspects = (Suspect(c, masks.select(c.changed_paths, paths)) for c in commits)
    return [suspect for suspect in suspects if suspect.paths]


def split_suspects(suspects: Sequence[Suspect]) -> Iterator[list[Suspect]]:
    """Returns the suspects in order, in lists of up to LOOKUPS paths; a list has at least one of them."""
    some: list[Suspect] = []
    lookups = 0
    for suspect in suspects:
        if some and lookups + len(suspect.paths) > LOOKUPS:
            yield some
            some, lookups = [], 0
        some.append(suspect)
        lookups += len(suspect.paths)
    if some:
        yield some
