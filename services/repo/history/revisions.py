"""Revisions: what people call a commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invalid_field, not_found
from shared.rpc import validation

Q = sql.load(__file__)

_COMMIT = re.compile(r"[0-9a-f]{64}")
# The beginning of a hash, as `dits log` prints it.
_PREFIX = re.compile(r"[0-9a-f]{8,63}")


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit that was found: its hash, and the hash of its tree."""

    commit: str
    tree: str


def is_commit(revision: str) -> bool:
    """Returns whether a revision is the hash of a commit, and not the name of a branch."""
    return _COMMIT.fullmatch(revision) is not None


async def resolve_revision(
    connection: Connection, repository_id: UUID, revision: str, field: str = "revision"
) -> Revision:
    """Returns what the name of a branch or tag, a commit hash or "" (the default branch) means.

    The beginning of a hash counts as the hash, if only one commit has it.

    Raises NOT_FOUND, and INVALID_FIELD for the field of the request.
    """
    if is_commit(revision):
        row = await connection.fetchrow(Q.commit_tree, repository_id, revision)
    else:
        name = _parse_name(revision, field) if revision else None
        row = await connection.fetchrow(Q.ref_tip, repository_id, name)
        if row is None and _PREFIX.fullmatch(revision):
            row = await _find_by_prefix(connection, repository_id, revision, field)
    if row is None:
        raise not_found("revision", revision)
    return Revision(row["hash"], row["tree_hash"])


def _parse_name(revision: str, field: str) -> str:
    """Returns what may be the name of a branch or tag. Raises INVALID_FIELD."""
    # As Git's users write it.
    if "~" in revision or "^" in revision:
        expected = "names a branch, a tag or the hash of a commit: ~ and ^ mean nothing"
        raise invalid_field(field, expected)
    return validation.branch(field, revision)


async def _find_by_prefix(
    connection: Connection, repository_id: UUID, prefix: str, field: str
) -> Row | None:
    """Returns the commit whose hash begins so; None without any. Raises INVALID_FIELD if there are more."""
    rows = await connection.fetch(Q.commits_by_prefix, repository_id, prefix)
    if len(rows) > 1:
        raise invalid_field(field, "is the beginning of several hashes")
    return rows[0] if rows else None
