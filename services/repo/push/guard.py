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
from shared.errors import DomainError, Reason, precondition, time_text

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
        raise _held(held)
    if missing:
        raise precondition(
            Reason.ERROR_REASON_LOCK_REQUIRED,
            f"{len(missing)} changed file(s) must be locked first, {missing[0]} for one",
            {"count": str(len(missing)), "path": missing[0]},
            [(path, "must be locked by who changes it") for path in missing],
        )


async def require_fences(
    connection: Connection, repo_id: UUID, user_id: UUID, locks: Sequence[tuple[UUID, int]]
) -> None:
    """Raises LOCK_STALE unless every lock is still held under its fence."""
    stale: list[UUID] = []
    for batch in batches(sorted(locks)):
        ids, fences = map(list, zip(*batch, strict=True))
        stale += await connection.fetchval(Q.locks_stale, repo_id, user_id, ids, fences)
    if stale:
        raise precondition(
            Reason.ERROR_REASON_LOCK_STALE,
            f"{len(stale)} lock(s) are no longer held, {stale[0]} for one",
            {"lock_id": str(stale[0])},
            [(str(lock), "is no longer held under this fence") for lock in stale],
        )


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
            raise _refused(path, "max_file_size_bytes", limit, f"is larger than {limit} bytes")
        extension = entry.name.rpartition(".")[2].lower() if "." in entry.name else ""
        if rules.extensions and extension not in rules.extensions:
            allowed = ",".join(sorted(rules.extensions))
            raise _refused(path, "allowed_extensions", allowed, "has an ending that is not allowed")


def _refused(path: str, rule: str, limit: str, description: str) -> DomainError:
    return precondition(
        Reason.ERROR_REASON_FILE_REFUSED,
        f"{path} {description}",
        {"path": path, "rule": rule, "limit": limit},
        [(path, description)],
    )


def _held(rows: Sequence[Row]) -> DomainError:
    first = rows[0]
    return precondition(
        Reason.ERROR_REASON_LOCK_HELD,
        f"{first['path']} is locked by {first['holder']}",
        {
            "count": str(len(rows)),
            "path": first["path"],
            "lock_id": str(first["lock_id"]),
            "lock_path": first["lock_path"],
            "holder": first["holder"],
            "since": time_text(first["locked_at"]),
            "expires": time_text(first["expires_at"]),
            "reason": first["reason"] or "",
        },
        [(row["path"], f"locked by {row['holder']}") for row in rows],
    )


def batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Paths or locks in lists of what one statement takes."""
    return (list(items[at : at + BATCH]) for at in range(0, len(items), BATCH))
