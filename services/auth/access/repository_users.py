"""The accounts that were given a right on a repository, and how."""

from __future__ import annotations

from uuid import UUID

from dits.auth.v1 import access_service_pb2 as pb

from services.auth.access.grants import describe_grants
from shared.db import sql
from shared.db.pool import Database, Row

Q = sql.load(__file__)


async def list_repository_users(
    database: Database, repository_id: UUID, after: str, count: int
) -> list[Row]:
    """Returns up to `count` accounts after a username in lower case."""
    return await database.fetch(Q.list_users, repository_id, after, count)


def describe_user(row: Row) -> pb.RepositoryUser:
    """Returns the message of an account."""
    return pb.RepositoryUser(
        user_id=str(row["id"]),
        username=row["username"],
        name=row["name"],
        permission=row["level"],
        grants=describe_grants(row["grants"]),
        grant_count=row["grant_count"],
    )
