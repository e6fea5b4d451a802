"""What commits that no branch reaches are built on: the nearest ones that a branch does reach."""

from __future__ import annotations

from uuid import UUID

from services.repo.history.ancestry import find_reached_by_branches
from services.repo.history.walk import HistoryWalk, TransactionReader
from shared.db.pool import Connection

# Commits that are walked past, and trees that are found. Beyond, all that is in a tree counts as new.
MAX_WALK = 5_000
MAX_TREES = 100
# Commits that are read at first; each time it is twice as many.
FIRST_WINDOW = 20


async def find_reached_trees(
    connection: Connection, repository_id: UUID, commit: str, branch: str
) -> list[str]:
    """Returns the trees of the nearest of a commit and its ancestors that branches reach but `branch`.

    Shelves do not count: see `find_reached_by_branches`. Returns none if there are too many, or too many
    commits before them. Raises CONTENTION, BATCH_TOO_LARGE.
    """
    walk = HistoryWalk(TransactionReader(connection), repository_id)
    waiting, trees = {commit}, dict[str, None]()
    walked, wanted = 0, FIRST_WINDOW
    while waiting:
        window = await walk.read_window(waiting, wanted)
        names = {each.hash for each in window.commits}
        reached = await find_reached_by_branches(connection, repository_id, names, branch)
        for each in window.commits:
            # Children come before parents. What waits not is below commits that are reached.
            if each.hash not in waiting:
                continue
            waiting.discard(each.hash)
            if each.hash in reached:
                trees[each.tree] = None
            else:
                waiting.update(each.parents)
        walked, wanted = walked + len(window.commits), wanted * 2
        if len(trees) > MAX_TREES or (waiting and walked > MAX_WALK):
            return []
    return list(trees)
