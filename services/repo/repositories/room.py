"""Whether an owner may hold a repository that comes to it, from another owner or back from deletion."""

from __future__ import annotations

from services.repo.repositories.holding import HeldRepository
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import quota_exceeded

Q = sql.load(__file__)


async def require_room(connection: Connection, held: HeldRepository) -> None:
    """Raises QUOTA_EXCEEDED if the owner to whom a repository came may not hold that much."""
    await connection.execute(Q.lock_storage, held.id)
    row = await connection.fetchrow(Q.find_full_plan, held.id)
    if row is not None:
        raise quota_exceeded(row["scope"], row["limit_bytes"], row["held_bytes"])
