"""The rules that a change is held to: the repository's settings for files, and locks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.repo.history.batches import ROWS, split_batches
from services.repo.history.changes import Changes
from services.repo.history.diff import Trees
from services.repo.history.file_rules import FileRules
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import (
    LockConflict,
    lock_held,
    lock_required,
    lock_stale,
    not_found,
    repository_read_only,
)
from shared.rpc.call import Call

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class ChangeRules:
    """A repository's settings for changes.

    Attributes:
        must_lock: to change an existing file, one must hold a lock on it.
        files: which files there may be.
    """

    must_lock: bool
    files: FileRules


async def lock_repository(connection: Connection, repository_id: UUID) -> ChangeRules:
    """Returns the repository's rules, and keeps it from being deleted during the transaction.

    Raises NOT_FOUND, REPOSITORY_READ_ONLY.
    """
    row = await connection.fetchrow(Q.lock_repository, repository_id)
    if row is None:
        raise not_found("repository", str(repository_id))
    if row["read_only"]:
        raise repository_read_only()
    return ChangeRules(
        row["require_lock_for_edit"],
        FileRules(
            row["max_file_size_bytes"] or 0,
            frozenset(row["allowed_extensions"] or ()),
            row["portable_names"],
        ),
    )


async def check_locks(
    connection: Connection, call: Call, rules: ChangeRules, changes: Changes, trees: Trees
) -> None:
    """Raises LOCK_HELD or LOCK_REQUIRED if a lock, or the lack of one, forbids a change.

    A path that becomes what it is on the default branch needs no lock: it is brought up to date. Raises
    BATCH_TOO_LARGE for too many paths.
    """
    repository_id, user_id = call.repository.id, call.caller.user_id
    has_locks = await connection.fetchval(Q.has_locks, repository_id)
    if not has_locks and not rules.must_lock:
        return
    await asyncio.to_thread(changes.require_bounded)
    batches = changes.batches(ROWS)
    while batch := await asyncio.to_thread(next, batches, None):
        held: list[Row] = []
        missing = [path for path, existed in batch if existed and rules.must_lock]
        if has_locks:
            paths = [path for path, _ in batch]
            held = await connection.fetch(Q.lock_conflicts, repository_id, user_id, paths)
            if missing:
                arguments = (repository_id, user_id, missing)
                missing = await connection.fetchval(Q.locks_missing, *arguments)
        suspects = {row["path"] for row in held}.union(missing)
        if suspects:
            caught_up = await _find_caught_up(connection, repository_id, changes, trees, suspects)
            _refuse(held, missing, caught_up)


def _refuse(held: Sequence[Row], missing: Sequence[str], caught_up: set[str]) -> None:
    conflicts = [_conflict(row) for row in held if row["path"] not in caught_up]
    if conflicts:
        raise lock_held(conflicts)
    missing = [path for path in missing if path not in caught_up]
    if missing:
        raise lock_required(missing)


async def check_fences(
    connection: Connection, call: Call, locks: Sequence[tuple[UUID, int]]
) -> None:
    """Raises LOCK_STALE unless the caller still holds every lock (id, fence) under its fence."""
    stale: list[UUID] = []
    for batch in split_batches(sorted(locks)):
        ids, fences = map(list, zip(*batch, strict=True))
        arguments = (call.repository.id, call.caller.user_id, ids, fences)
        stale += await connection.fetchval(Q.locks_stale, *arguments)
    if stale:
        raise lock_stale([str(lock_id) for lock_id in stale])


async def release_locks(connection: Connection, call: Call, changes: Changes) -> list[str]:
    """Ends the caller's locks on changed paths that were taken until the push; returns their ids."""
    released: list[str] = []
    if not await connection.fetchval(Q.has_locks, call.repository.id):
        return released
    batches = changes.batches(ROWS)
    while batch := await asyncio.to_thread(next, batches, None):
        arguments = (call.repository.id, call.caller.user_id, [path for path, _ in batch])
        rows = await connection.fetch(Q.release_pushed_locks, *arguments)
        released += [str(row["lock_id"]) for row in rows]
    return released


async def _find_caught_up(
    connection: Connection, repository_id: UUID, changes: Changes, trees: Trees, paths: set[str]
) -> set[str]:
    """Returns those of the paths that become what they are on the default branch."""
    tree = await connection.fetchval(Q.default_tree, repository_id)
    if tree is None:
        return set()
    there = await trees.find_entries(tree, paths)
    caught_up = set(paths)
    for root in changes.roots:
        now = await trees.find_entries(root.new, paths)
        before = [await trees.find_entries(old, paths) for old in root.old]
        caught_up -= {
            path
            for path in paths
            if now.get(path) != there.get(path)
            and all(now.get(path) != was.get(path) for was in before)
        }
    return caught_up


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
