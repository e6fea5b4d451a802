"""The commits that a move brings onto a branch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from services.repo.history.changes_since import OpenEnds
from services.repo.history.walk import HistoryWalk, TransactionReader, WalkCount, WalkedCommit
from shared.db.pool import Connection
from shared.errors import batch_too_large

# Commits that are read at first; each time it is twice as many.
FIRST_WINDOW = 20
# Commits that one move walks past at most: a branch is locked meanwhile.
MAX_WALK = 50_000


async def iterate_new_commits(
    connection: Connection, repository_id: UUID, new: str, old: str, count: WalkCount
) -> AsyncIterator[list[WalkedCommit]]:
    """Yields, in lists, the commits that `new` reaches and `old` does not; children before parents.

    An empty `old` reaches nothing; `count` is that of the call. Raises CONTENTION, and BATCH_TOO_LARGE if
    too many commits are between the two.
    """
    walk = HistoryWalk(TransactionReader(connection), repository_id)
    ends = OpenEnds(new, old)
    walked, wanted = 0, FIRST_WINDOW
    while ends.has_unknown():
        window = await walk.read_window(ends.waiting, wanted)
        yield ends.advance(window)
        walked, wanted = walked + len(window.commits), wanted * 2
        count.commits += len(window.commits)
        count.require_bounded()
        if walked > MAX_WALK:
            raise batch_too_large("new_head", MAX_WALK, walked)
