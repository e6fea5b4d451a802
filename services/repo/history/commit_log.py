"""The history as a list: a commit and its ancestors, children first."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from uuid import UUID

from services.repo.history.ancestry import walk_ancestry
from shared.db import sql
from shared.db.pool import Connection, Row

Q = sql.load(__file__)

# A page token carries the commits that the next page begins at; a wider history is cut into
# shorter pages by never walking further than this many commits at once.
STEP = 100
# What the commits of one page come to at most; the rest of a message of 4 MiB is the page token's.
PAGE_BYTES = 3 << 20


async def read_commits(
    connection: Connection, repository_id: UUID, hashes: Sequence[str]
) -> list[Row]:
    """Returns some commits in this order, without those that do not exist."""
    found = await connection.fetch(Q.commits, repository_id, hashes)
    rows = {row["hash"]: row for row in found}
    return [rows[commit] for commit in hashes if commit in rows]


async def list_commits(
    connection: Connection, repository_id: UUID, frontier: list[str], count: int
) -> tuple[list[Row], list[str]]:
    """Returns up to `count` commits, as many as a message can hold, and the next frontier.

    The frontier are the commits that a page begins at; it is empty after the last page.
    """
    commits: list[Row] = []
    room, is_full = PAGE_BYTES, False
    while frontier and len(commits) < count and not is_full:
        most = min(STEP, count - len(commits))
        known = await walk_ancestry(connection, repository_id, frontier, most)
        hashes, frontier = select_commits(known, frontier, most, room)
        commits += await read_commits(connection, repository_id, hashes)
        room -= sum(known[commit]["bytes"] for commit in hashes)
        is_full = len(hashes) < most
    return commits, frontier


def select_commits(
    known: Mapping[str, Row], frontier: list[str], most: int, room: int
) -> tuple[list[str], list[str]]:
    """Returns up to `most` commits of `room` bytes, highest generation first, and the next frontier.

    A commit's generation is higher than that of all its ancestors, so every child of a commit is
    taken before the commit itself, and each commit once.
    """
    heap = [(-known[commit]["generation"], commit) for commit in set(frontier)]
    heapq.heapify(heap)
    waiting = set(frontier)
    taken: list[str] = []
    while heap and len(taken) < most:
        _, commit = heap[0]
        room -= known[commit]["bytes"]
        if room < 0:
            break
        heapq.heappop(heap)
        waiting.discard(commit)
        taken.append(commit)
        for parent in known[commit]["parent_hashes"]:
            if parent not in waiting:
                waiting.add(parent)
                heapq.heappush(heap, (-known[parent]["generation"], parent))
    return taken, sorted(waiting)
