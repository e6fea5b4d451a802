"""The history as a list: a commit and its ancestors, children first."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.repo.history.walk import HistoryWalk, Window
from shared.db import sql
from shared.db.pool import Database, Row

Q = sql.load(__file__)

# What the commits of one page come to at most; the rest of a message of 4 MiB is the page token's.
PAGE_BYTES = 3 << 20


async def read_commits(
    database: Database, repository_id: UUID, hashes: Sequence[str], *, signatures: bool = False
) -> list[Row]:
    """Returns some commits in this order, without those that do not exist.

    What is said of their signatures is in the rows; the signatures themselves where they are asked for.
    """
    found = await database.fetch(Q.commits, repository_id, hashes, signatures)
    rows = {row["hash"]: row for row in found}
    return [rows[commit] for commit in hashes if commit in rows]


async def find_known_commits(
    database: Database, repository_id: UUID, hashes: Sequence[str]
) -> set[str]:
    """Returns those of some commits that the repository has."""
    return {row["hash"] for row in await database.fetch(Q.known, repository_id, hashes)}


async def list_commits(
    database: Database, repository_id: UUID, frontier: Sequence[str], count: int
) -> tuple[list[str], list[str]]:
    """Returns up to `count` commits, as many as a message can hold, and the next frontier.

    The frontier are the commits that a page begins at; it is empty after the last page. Each commit is
    listed once, after all of its children. Raises CONTENTION.
    """
    walk = HistoryWalk(database, repository_id)
    waiting, listed, room = set(frontier), list[str](), PAGE_BYTES
    while waiting and len(listed) < count:
        wanted = count - len(listed)
        window = await walk.read_window(waiting, wanted)
        taken, size = take_commits(window, waiting, wanted, room)
        listed += taken
        room -= size
        if len(taken) < min(wanted, len(window.commits)):
            break
    return listed, sorted(waiting)


def take_commits(window: Window, waiting: set[str], count: int, room: int) -> tuple[list[str], int]:
    """Returns the first `count` commits of a window that take up to `room` bytes, and their bytes.

    Replaces them in `waiting` by their parents. All the children of a commit are of higher generations,
    so it waits before its turn comes, and is taken once.
    """
    taken: list[str] = []
    size = 0
    for commit in window.commits[:count]:
        if size + commit.size > room:
            break
        size += commit.size
        taken.append(commit.hash)
        waiting.discard(commit.hash)
        waiting.update(commit.parents)
    return taken, size
