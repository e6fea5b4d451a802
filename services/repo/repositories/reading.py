"""Repositories with their settings, as one user sees them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.repo.repositories.owners import Owner
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.rpc.call import Caller
from shared.rpc.paging import PAGE_BYTES

Q = sql.load(__file__)


async def get_repository(
    connection: Connection, repository_id: UUID, user_id: UUID | None
) -> Row | None:
    """Returns a repository that is not deleted; `user_id` = None for the anonymous."""
    return await connection.fetchrow(Q.get_repository, repository_id, user_id)


async def list_granted(
    connection: Connection, caller: Caller, after: Sequence[Any] | None, count: int
) -> list[Row]:
    """Returns repositories that a caller was given a right on, after an owner and a name.

    A token that is limited to repositories finds only those, and none of owners that do not let it in.
    """
    owner, name = after or (None, None)
    return await connection.fetch(
        *Q.bind.list_granted(
            user_id=caller.user_id,
            after_owner=owner,
            after=name,
            reach=caller.reach,
            refused_by=list(caller.refused_by),
            count=count,
            bytes=PAGE_BYTES,
        )
    )


async def list_of_owner(
    connection: Connection, owner: Owner, caller: Caller, after: Sequence[Any] | None, count: int
) -> list[Row]:
    """Returns repositories of an owner that a caller may see, after a name; see `list_granted`."""
    return await connection.fetch(
        *Q.bind.list_of_owner(
            user_id=caller.user_id,
            owner_type=owner.type,
            owner_id=owner.id,
            after=after[1] if after else None,
            reach=caller.reach,
            refused_by=list(caller.refused_by),
            count=count,
            bytes=PAGE_BYTES,
        )
    )


async def list_deleted(
    connection: Connection, owner: Owner, after: Sequence[Any] | None, count: int
) -> list[Row]:
    """Returns repositories of an owner that can be brought back, before a time of deletion and an id."""
    time, repository_id = after or (None, None)
    return await connection.fetch(
        *Q.bind.list_deleted(
            owner_type=owner.type,
            owner_id=owner.id,
            permission=owner.permission,
            before=datetime.fromisoformat(time) if time else None,
            before_id=UUID(repository_id) if repository_id else None,
            count=count,
            bytes=PAGE_BYTES,
        )
    )
