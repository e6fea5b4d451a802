"""The repository's settings that a change is held to."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.repo.history.file_rules import FileRules
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import not_found, repository_read_only

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
