"""The one lock that a request names."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import not_found

Q = sql.load(__file__)


async def fetch_named_lock(
    connection: Connection, repository_id: UUID, lock_id: UUID, now: datetime
) -> Row:
    """Returns a lock of the repository with `owner` and `last_owner_id`; the rest is NULL if it has ended.

    Raises NOT_FOUND if the repository never had it.
    """
    row = await connection.fetchrow(Q.named_lock, repository_id, lock_id, now)
    if row is None:
        raise not_found("lock", str(lock_id))
    return row
