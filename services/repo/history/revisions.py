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
    """A commit that was found, and its tree."""

    commit: str
    tree: str


async def find(connection: Connection, repo_id: UUID, revision: str) -> Revision:
    """The commit that a branch name, a commit hash or "" (the default branch) means."""
    if _COMMIT.fullmatch(revision):
        row = await connection.fetchrow(Q.commit_tree, repo_id, revision)
    else:
        name = validation.branch("revision", revision) if revision else None
        row = await connection.fetchrow(Q.branch_tip, repo_id, name)
    if row is None:
        raise not_found("revision", revision)
    return Revision(row["hash"], row["tree_hash"])
