"""Commits that a branch or tag leaves: they are kept for a time, and then released."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection

Q = sql.load(__file__)


async def remember_heads(connection: Connection, repository_id: UUID, heads: Iterable[str]) -> None:
    """Notes that refs leave some commits, for which no child of these is known.

    Before the counters of the repository are locked: who releases a commit locks them last.
    """
    left = sorted(set(heads))
    if left:
        await connection.execute(Q.remember_heads, repository_id, left)
