"""What may stand in the way of a change: locks and the repository's rules for files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry

from services.repo.history.diff import Changes, Trees
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import LockConflict, file_refused, lock_held, lock_required, lock_stale

Q = sql.load(__file__)

BATCH = 10_000

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Rules:
    """A repository's settings for pushes, and the tree that everyone works from.

    Attributes:
        must_lock: who changes an existing file must hold a lock on it.
        max_file_bytes: 0 = any size.
        extensions: in lower case; empty = all.
        shared_tree: tree of the default branch; None = it does not exist.
    """

    must_lock: bool
    max_file_bytes: int
    extensions: frozenset[str]
    shared_tree: str | None


async def enforce(
    connection: Connection,
    repo_id: UUID,
    user_id: UUID,
    rules: Rules,
    changes: Changes,
    trees: Trees,
) -> None:
    """Raises FILE_REFUSED, LOCK_HELD or LOCK_REQUIRED if a change is not allowed.

    A path that only becomes what it is on the default branch is nobody's edit: bringing a branch up
    to date needs no locks.
    """
    _refuse_files(rules, changes.written)
    held: list[Row] = []
    for batch in batches(sorted(changes.paths)):
        held += await connection.fetch(Q.lock_conflicts, repo_id, user_id, batch)
    missing: list[str] = []
    if rules.must_lock:
        for batch in batches(sorted(changes.existing)):
            missing += await connection.fetchval(Q.locks_missing, repo_id, user_id, batch)
    if not held and not missing:
        return
    suspects = {row["path"] for row in held}.union(missing)
    caught_up = await _caught_up(rules, changes, trees, suspects)
    held = [row for row in held if row["path"] not in caught_up]
    missing = [path for path in missing if path not in caught_up]
    if held:
        raise lock_held([_conflict(row) for row in held])
    if missing:
        raise lock_required(missing)


async def require_fences(
    connection: Connection, repo_id: UUID, user_id: UUID, locks: Sequence[tuple[UUID, int]]
) -> None:
    """Raises LOCK_STALE unless every lock is still held under its fence."""
    stale: list[UUID] = []
    for batch in batches(sorted(locks)):
        ids, fences = map(list, zip(*batch, strict=True))
        stale += await connection.fetchval(Q.locks_stale, repo_id, user_id, ids, fences)
    if stale:
        raise lock_stale([str(lock_id) for lock_id in stale])


async def release(
    connection: Connection, repo_id: UUID, user_id: UUID, paths: Iterable[str]
) -> list[str]:
    """Ends the locks that were taken until this push; returns their ids."""
    released: list[str] = []
    for batch in batches(sorted(paths)):
        rows = await connection.fetch(Q.release_pushed_locks, repo_id, user_id, batch)
        released += [str(row["lock_id"]) for row in rows]
    return released


async def _caught_up(rules: Rules, changes: Changes, trees: Trees, paths: set[str]) -> set[str]:
    """Those of the paths that become what they are on the default branch."""
    if rules.shared_tree is None:
        return set()
    there = await trees.entries(rules.shared_tree, paths)
    return {path for path in paths if there.get(path) == changes.written.get(path)}


def _refuse_files(rules: Rules, written: Mapping[str, Entry]) -> None:
    for path, entry in written.items():
        if not entry.HasField("file"):
            continue
        if 0 < rules.max_file_bytes < entry.file.size:
            limit = str(rules.max_file_bytes)
            raise file_refused(path, "max_file_size_bytes", limit, f"is larger than {limit} bytes")
        extension = entry.name.rpartition(".")[2].lower() if "." in entry.name else ""
        if rules.extensions and extension not in rules.extensions:
            allowed = ",".join(sorted(rules.extensions))
            raise file_refused(
                path, "allowed_extensions", allowed, "has an ending that is not allowed"
            )


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


def batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Paths or locks in lists of what one statement takes."""
    return (list(items[at : at + BATCH]) for at in range(0, len(items), BATCH))
