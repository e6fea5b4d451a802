"""Revisions: what people call a commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import not_found
from shared.rpc import validation

Q = sql.load(__file__)

_COMMIT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit that was found: its hash, and the hash of its tree."""

    commit: str
    tree: str


async def resolve_revision(connection: Connection, repository_id: UUID, revision: str) -> Revision:
    """Returns what a branch name, a commit hash or "" (the default branch) means.

    Raises NOT_FOUND, INVALID_FIELD.
    """
    if _COMMIT.fullmatch(revision):
        row = await connection.fetchrow(Q.commit_tree, repository_id, revision)
    else:
        name = validation.branch("revision", revision) if revision else None
        row = await connection.fetchrow(Q.branch_tip, repository_id, name)
    if row is None:
        raise not_found("revision", revision)
    return Revision(row["hash"], row["tree_hash"])
