"""The branches that users follow."""

from __future__ import annotations

from uuid import UUID

from dits.common.v1.event_pb2 import BranchPayload
from google.protobuf import json_format

from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field
from shared.outbox.stored_event import StoredEvent
from shared.rpc.call import Caller

Q = sql.load(__file__)

MAX_FOLLOWED = 1_000


async def follow_branch(
    database: Database, user_id: UUID, repository_id: UUID, branch: str
) -> None:
    """Makes a user follow a branch. Raises INVALID_FIELD if that makes more than MAX_FOLLOWED."""

    async def follow(connection: Connection) -> None:
        await connection.execute(Q.lock_inbox, user_id)
        await connection.execute(Q.follow, user_id, repository_id, branch)
        count = await connection.fetchval(Q.count_followed, user_id)
        if count > MAX_FOLLOWED:
            raise invalid_field("branch", f"a user follows at most {MAX_FOLLOWED} branches")

    await database.transaction(follow)


async def unfollow_branch(
    database: Database, user_id: UUID, address: UUID | tuple[str, str], branch: str
) -> None:
    """Ends following a branch of a repository that is named by id, or by owner and name in lower case."""
    by_id, owner, name = (address, None, None) if isinstance(address, UUID) else (None, *address)
    await database.statement(
        *Q.bind.unfollow(
            user_id=user_id, repository_id=by_id, owner=owner, name=name, branch=branch
        )
    )


async def list_followed(
    database: Database, caller: Caller, after: tuple[str, str, str] | None, count: int
) -> list[Row]:
    """Returns the branches that a caller follows and may read, after (owner, name, branch)."""
    owner, name, branch = after or (None, None, None)
    return await database.fetch(
        *Q.bind.list_followed(
            user_id=caller.user_id,
            refused_by=list(caller.refused_by),
            owner=owner,
            name=name,
            branch=branch,
            count=count,
        )
    )


async def rename_followed(connection: Connection, event: StoredEvent) -> None:
    """Lets those who followed a branch that was renamed follow it under its new name."""
    renamed = json_format.Parse(event.payload, BranchPayload(), ignore_unknown_fields=True)
    names = (renamed.previous_name, renamed.branch)
    await connection.execute(Q.rename_followed, event.repository_id, *names)
