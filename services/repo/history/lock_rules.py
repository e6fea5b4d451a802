"""The rules that locks make for a change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from uuid import UUID

from services.repo.history.batches import ROWS, split_batches
from services.repo.history.catch_up import CatchUp
from services.repo.history.change_rules import ChangeRules
from services.repo.history.changes import Changes
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import LockConflict, lock_held, lock_required, lock_stale
from shared.formats.path_patterns import PathPatterns
from shared.rpc.call import Call
from shared.runtime.weighed_work import do_weighed

Q = sql.load(__file__)

Path = tuple[str, bool]

# Locks that are looked up at once.
PLACES = 1_000
# What may be asked of locks, in the words of locked_places().
FORBIDS, PERMITS_ALL, ENDS = "forbids", "permits all below", "ends"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is to compare; it stays so until the end of the transaction, but that locks end.

    Attributes:
        locks: of the repository, counted up to one more than `most`.
        most: locks that are looked up in the changes, and not the paths among the locks.
    """

    locks: int
    most: int


async def measure_locks(connection: Connection, call: Call, changes: Changes) -> Extent:
    """Returns how many locks there are, beside what has changed. Nobody takes another one from now on."""
    count = await do_weighed(changes.steps, changes.count_paths)
    # A lock is looked up below each root.
    most = count // max(len(changes.roots), 1)
    return Extent(await connection.fetchval(Q.count_locks, call.repository.id, most + 1), most)


async def check_locks(
    connection: Connection,
    call: Call,
    rules: ChangeRules,
    catch_up: CatchUp,
    extent: Extent,
) -> None:
    """Raises LOCK_HELD or LOCK_REQUIRED if a lock, or the lack of one, forbids a change.

    A path that becomes what it is on the default branch needs no lock: it is brought up to date. Raises
    BATCH_TOO_LARGE for too many paths.
    """
    await check_others(connection, call, catch_up, extent)
    if rules.must_lock:
        await _require_locks(connection, call, rules, catch_up, extent)


async def check_others(
    connection: Connection, call: Call, catch_up: CatchUp, extent: Extent
) -> None:
    """Raises LOCK_HELD if the lock of another user forbids a change.

    It forbids even to bring a path up to date where the branch loses an edit. Raises BATCH_TOO_LARGE for
    too many paths.
    """
    changes = catch_up.changes
    repository_id, user_id = call.repository.id, call.caller.user_id
    async for paths in _iterate_suspects(connection, call, changes, extent, FORBIDS):
        held = await connection.fetch(Q.lock_conflicts, repository_id, user_id, paths)
        suspects = {row["path"] for row in held}
        suspects -= await catch_up.find_unedited(suspects)
        if suspects:
            raise lock_held([_conflict(row) for row in held if row["path"] in suspects])


async def _require_locks(
    connection: Connection,
    call: Call,
    rules: ChangeRules,
    catch_up: CatchUp,
    extent: Extent,
) -> None:
    """Raises LOCK_REQUIRED for a path that existed and needs a lock, if the caller has none on it."""
    changes = catch_up.changes
    repository_id, user_id = call.repository.id, call.caller.user_id
    await do_weighed(changes.steps, changes.require_bounded)
    # Where a lock covers a whole directory, nobody asks for the paths in it.
    directories: list[str] = []
    if extent.locks:
        directories = await _fetch_places(connection, call, PERMITS_ALL, "")
    batches = _split(changes.iterate_paths(without=frozenset(directories)))
    while batch := await asyncio.to_thread(next, batches, None):
        paths = await asyncio.to_thread(_choose_lockable, batch, rules.lock_patterns)
        if not paths:
            continue
        missing = await connection.fetchval(Q.locks_missing, repository_id, user_id, paths)
        caught_up = await catch_up.find_caught_up(set(missing))
        if missing := [path for path in missing if path not in caught_up]:
            raise lock_required(missing)


def _choose_lockable(batch: Sequence[Path], patterns: tuple[str, ...]) -> list[str]:
    """Returns the paths that existed and need a lock."""
    paths = [path for path, existed in batch if existed]
    if not patterns:
        return paths
    parsed = _parse_patterns(patterns)
    return [path for path in paths if parsed.matches(path)]


# Large ones take half a second.
@lru_cache(maxsize=64)
def _parse_patterns(patterns: tuple[str, ...]) -> PathPatterns:
    return PathPatterns.parse(patterns)


async def release_locks(
    connection: Connection, call: Call, changes: Changes, extent: Extent
) -> list[str]:
    """Ends the caller's locks on changed paths that were taken until the push; returns their ids."""
    released: list[str] = []
    async for paths in _iterate_suspects(connection, call, changes, extent, ENDS):
        arguments = (call.repository.id, call.caller.user_id, paths)
        rows = await connection.fetch(Q.release_pushed_locks, *arguments)
        released += [str(row["lock_id"]) for row in rows]
    return released


async def _iterate_suspects(
    connection: Connection, call: Call, changes: Changes, extent: Extent, question: str
) -> AsyncIterator[list[str]]:
    """Yields changed paths, in lists, among which are all that locks of a kind cover.

    Where locks are fewer than paths, they are looked up in the changes, and not the paths among the locks.
    """
    if not extent.locks:
        return
    await do_weighed(changes.steps, changes.require_bounded)
    if extent.locks > extent.most:
        batches = _split(changes.iterate_paths())
        while batch := await asyncio.to_thread(next, batches, None):
            yield [path for path, _ in batch]
        return
    # To end a lock, one path is enough.
    each = 1 if question is ENDS else None
    last: str | None = ""
    while last is not None:
        places = await _fetch_places(connection, call, question, last)
        last = places[-1] if len(places) == PLACES else None
        batches = _split(_iterate_covered(changes, places, each))
        while batch := await asyncio.to_thread(next, batches, None):
            yield [path for path, _ in batch]


def _iterate_covered(changes: Changes, places: Sequence[str], each: int | None) -> Iterator[Path]:
    """Yields the changed paths that locks at sorted places cover; `each` at most for one place."""
    above = ""
    for place in places:
        if each is None and above and place.startswith(above):
            continue
        yield from islice(changes.iterate_paths(place), each)
        above = place if place.endswith("/") else above


def _split(paths: Iterator[Path]) -> Iterator[list[Path]]:
    """Yields paths in lists of at most ROWS."""
    return iter(lambda: list(islice(paths, ROWS)), [])


async def _fetch_places(connection: Connection, call: Call, question: str, last: str) -> list[str]:
    """Returns the next PLACES, or those that are left, with locks that answer a question, after one."""
    statement = Q.bind.locked_places(
        repository_id=call.repository.id,
        user_id=call.caller.user_id,
        question=question,
        after=last,
        count=PLACES,
    )
    return [row["path"] for row in await connection.fetch(*statement)]


async def find_held_paths(
    connection: Connection, call: Call, paths: Sequence[str]
) -> dict[str, list[LockConflict]]:
    """Returns the exclusive locks of other users on some paths, by path."""
    found: dict[str, list[LockConflict]] = {}
    arguments = (call.repository.id, call.caller.user_id, paths)
    for row in await connection.fetch(Q.lock_conflicts, *arguments):
        found.setdefault(row["path"], []).append(_conflict(row))
    return found


async def check_fences(
    connection: Connection, call: Call, locks: Sequence[tuple[UUID, int]]
) -> None:
    """Raises LOCK_STALE unless the caller still holds every lock (id, fence) under its fence."""
    stale: list[UUID] = []
    for batch in split_batches(await do_weighed(len(locks), sorted, locks)):
        ids, fences = map(list, zip(*batch, strict=True))
        arguments = (call.repository.id, call.caller.user_id, ids, fences)
        stale += await connection.fetchval(Q.locks_stale, *arguments)
    if stale:
        raise await do_weighed(len(stale), lambda: lock_stale([str(each) for each in stale]))


def _conflict(row: Row) -> LockConflict:
    return LockConflict(
        row["path"],
        str(row["lock_id"]),
        row["lock_path"],
        "exclusive",
        row["holder"],
        row["locked_at"],
        row["expires_at"],
        row["reason"] or "",
    )
