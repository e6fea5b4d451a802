"""Commits that no branch reaches, and what they are built on: the nearest ones that a branch does reach."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from uuid import UUID

from services.repo.history.ancestry import find_reached_by_branches, find_reached_by_refs
from services.repo.history.walk import HistoryWalk, TransactionReader, WalkedCommit
from shared.db.pool import Connection

# Commits that are walked past, and trees that are found. Beyond, all that is in a tree counts as new.
MAX_WALK = 5_000
MAX_TREES = 100
# Commits that are read at first; each time it is twice as many.
FIRST_WINDOW = 20

_FindReached = Callable[[set[str]], Awaitable[set[str]]]


async def find_reached_trees(
    connection: Connection, repository_id: UUID, commit: str, branch: str
) -> list[str]:
    """Returns the trees of the nearest of a commit and its ancestors that branches reach but `branch`.

    Shelves do not count: see `find_reached_by_branches`. Returns none if there are too many, or too many
    commits before them. Raises CONTENTION, BATCH_TOO_LARGE.
    """
    find = partial(find_reached_by_branches, connection, repository_id, branch=branch)
    trees = dict[str, None]()
    async for each, is_reached in _walk(connection, repository_id, commit, find):
        if each is None:
            return []
        if is_reached:
            trees[each.tree] = None
            if len(trees) > MAX_TREES:
                return []
    return list(trees)


async def count_unreached(connection: Connection, repository_id: UUID, commit: str) -> int:
    """Returns how many of a commit and its ancestors no branch, shelf or tag reaches.

    Beyond some thousands, as many as were counted. Raises CONTENTION, BATCH_TOO_LARGE.
    """
    find = partial(find_reached_by_refs, connection, repository_id)
    walk = _walk(connection, repository_id, commit, find)
    return len([each async for each, is_reached in walk if each and not is_reached])


async def _walk(
    connection: Connection, repository_id: UUID, commit: str, find_reached: _FindReached
) -> AsyncIterator[tuple[WalkedCommit | None, bool]]:
    """Yields a commit and its ancestors, down to those that are reached: with whether they are.

    Yields none as the last if it ends before, as there are too many.
    """
    walk = HistoryWalk(TransactionReader(connection), repository_id)
    waiting, walked, wanted = {commit}, 0, FIRST_WINDOW
    while waiting:
        if walked > MAX_WALK:
            yield None, False
            return
        window = await walk.read_window(waiting, wanted)
        reached = await find_reached({each.hash for each in window.commits})
        for each in window.commits:
            # Children come before parents. What waits not is below commits that are reached.
            if each.hash not in waiting:
                continue
            waiting.discard(each.hash)
            if each.hash not in reached:
                waiting.update(each.parents)
            yield each, each.hash in reached
        walked, wanted = walked + len(window.commits), wanted * 2
