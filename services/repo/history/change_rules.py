"""The rules that a change is held to: the repository's settings for files, and locks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Entry

from services.repo.history.batches import split_batches
from services.repo.history.diff import Changes, Trees
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import (
    LockConflict,
    file_refused,
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
        max_file_bytes: 0 = any size.
        extensions: in lower case; empty = all.
    """

    must_lock: bool
    max_file_bytes: int
    extensions: frozenset[str]


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
        row["max_file_size_bytes"] or 0,
        frozenset(row["allowed_extensions"] or ()),
    )


async def check_changes(
    connection: Connection, call: Call, rules: ChangeRules, changes: Changes, trees: Trees
) -> None:
    """Raises FILE_REFUSED, LOCK_HELD or LOCK_REQUIRED if a change is not allowed.

    A path that becomes what it is on the default branch needs no lock: it is brought up to date.
    """
    _check_files(rules, changes.written)
    repository_id, user_id = call.repository.id, call.caller.user_id
    held: list[Row] = []
    for batch in split_batches(sorted(changes.paths)):
        held += await connection.fetch(Q.lock_conflicts, repository_id, user_id, batch)
    missing: list[str] = []
    if rules.must_lock:
        for batch in split_batches(sorted(changes.existing)):
            missing += await connection.fetchval(Q.locks_missing, repository_id, user_id, batch)
    if not held and not missing:
        return
    suspects = {row["path"] for row in held}.union(missing)
    caught_up = await _find_caught_up(connection, repository_id, changes, trees, suspects)
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


async def release_locks(connection: Connection, call: Call, paths: Iterable[str]) -> list[str]:
    """Ends the caller's locks on paths that were taken until the push; returns their ids."""
    released: list[str] = []
    for batch in split_batches(sorted(paths)):
        arguments = (call.repository.id, call.caller.user_id, batch)
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
    return {path for path in paths if there.get(path) == changes.written.get(path)}


def _check_files(rules: ChangeRules, written: Mapping[str, Entry]) -> None:
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
