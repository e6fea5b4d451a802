"""The repositories that an account was given a right on, and how."""

from __future__ import annotations

from dits.auth.v1 import access_service_pb2 as pb

from services.auth.access.grants import describe_grants
from shared.db import sql
from shared.db.pool import Database, Row
from shared.rpc.call import Caller

Q = sql.load(__file__)


async def list_accessible_repositories(
    database: Database, caller: Caller, after: tuple[str, str], count: int
) -> list[Row]:
    """Returns up to `count` repositories of a caller after an owner and a name, in lower case."""
    owner, name = after
    return await database.fetch(
        *Q.bind.list_repositories(
            user_id=caller.user_id,
            refused_by=list(caller.refused_by),
            after_owner=owner,
            after=name,
            count=count,
        )
    )


def describe_repository(row: Row) -> pb.AccessibleRepository:
    """Returns the message of a repository."""
    return pb.AccessibleRepository(
        repository_id=str(row["id"]),
        owner=row["owner"],
        name=row["name"],
        permission=row["level"],
        grants=describe_grants(row["grants"]),
        grant_count=row["grant_count"],
    )
