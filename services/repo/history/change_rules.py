"""The repository's settings that a change is held to."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.repo.history.file_rules import OBLITERATED, FileFault, FileRules
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import DomainError, content_obliterated, not_found, repository_read_only
from shared.formats.canonical import split_hashes
from shared.records.ownership import require_same_owner
from shared.rpc.call import Call

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class ChangeRules:
    """A repository's settings for changes.

    Attributes:
        must_lock: to change an existing file that `lock_patterns` are about, one must hold a lock on it.
        lock_patterns: as a `.gitignore` has them; none = all files.
        files: which files there may be.
        min_regions: in how many regions the chunks of new files must lie.
    """

    must_lock: bool
    lock_patterns: tuple[str, ...]
    files: FileRules
    min_regions: int = 0


async def lock_repository(
    connection: Connection, call: Call, *, alone: bool = False
) -> ChangeRules:
    """Returns the rules of a call's repository, and keeps it from being deleted during the transaction.

    `alone` waits for all that moves branches and tags, and keeps others from it.
    Raises NOT_FOUND, REPOSITORY_READ_ONLY, and CONTENTION if it went to another owner meanwhile.
    """
    repository_id = call.repository.id
    if alone:
        await connection.execute(Q.lock_alone, repository_id)
    row = await connection.fetchrow(Q.lock_repository, repository_id)
    if row is None:
        raise not_found("repository", str(repository_id))
    if row["read_only"]:
        raise repository_read_only()
    await require_same_owner(connection, call, row["owner_type"], row["owner_id"], row["owner"])
    obliterated = b""
    if row["has_obliterations"]:
        obliterated = await connection.fetchval(Q.obliterated_contents, repository_id) or b""
    return ChangeRules(
        row["require_lock_for_edit"],
        tuple(row["lock_patterns"]),
        FileRules(
            row["max_file_size_bytes"] or 0,
            frozenset(row["allowed_extensions"] or ()),
            row["portable_names"],
            frozenset(split_hashes(obliterated)),
        ),
        row["min_regions"],
    )


async def refuse_file(
    connection: Connection, repository_id: UUID, path: str, fault: FileFault
) -> DomainError:
    """Returns the error for a file at a path: FILE_REFUSED or CONTENT_OBLITERATED."""
    if fault.rule != OBLITERATED:
        return fault.refuse(path)
    reason = await connection.fetchval(Q.why_obliterated, repository_id, fault.limit)
    return content_obliterated(fault.limit, reason, path)
