"""U1, the first step of transactions that change what a repository holds."""

from __future__ import annotations

from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import not_found

Q = sql.load(__file__)


async def hold_repository(connection: Connection, repository_id: UUID) -> bool:
    """Keeps a repository from being deleted until the commit; returns False if it was deleted before."""
    return await connection.fetchrow(Q.hold_repository, repository_id) is not None


async def require_repository(connection: Connection, repository_id: UUID) -> None:
    """Keeps a repository from being deleted until the commit. Raises NOT_FOUND if it was deleted before."""
    if not await hold_repository(connection, repository_id):
        raise not_found("repository", str(repository_id))
