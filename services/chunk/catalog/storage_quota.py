"""How much a repository, and the organisation that owns it, may hold.

What a repository holds are the bytes of the chunks that it refers to, uncompressed, each counted once.
Triggers on the references keep the sum. A claim counts from the upload on, until it expires or a push
settles it. What an upload has announced is reserved before: no other one gets the room while it lasts.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

from shared.db import sql
from shared.db.pool import Connection, Databases
from shared.errors import invalid_field, quota_exceeded

Q = sql.load(__file__)

# A reservation that is not renewed, by a pack that was finalized, ends after so long.
RESERVED_TIME = timedelta(minutes=10)


class StorageQuota:
    """Reserves room for uploads when they begin."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    async def reserve_room(self, repository_id: UUID, planned: int) -> UUID | None:
        """Reserves `planned` bytes until `release_room`; returns by what name, None = there is none.

        It ends by itself after RESERVED_TIME. 0 = it is not known how many.

        Raises QUOTA_EXCEEDED, INVALID_FIELD.
        """
        if not planned:
            return None
        name, lasting = uuid4(), RESERVED_TIME
        work = partial(
            reserve_storage,
            repository_id=repository_id,
            planned=planned,
            name=name,
            lasting=lasting,
        )
        await self._databases.of(repository_id).transaction(work)
        return name

    async def release_room(self, repository_id: UUID, name: UUID | None) -> None:
        """Ends a reservation."""
        if name is not None:
            await self._databases.of(repository_id).statement(Q.release_storage, name)


async def reserve_storage(
    connection: Connection,
    *,
    repository_id: UUID,
    planned: int,
    name: UUID,
    lasting: timedelta,
) -> None:
    """Reserves `planned` bytes under a name, for so long. 0 = it is not known how many.

    Raises QUOTA_EXCEEDED, INVALID_FIELD.
    """
    if planned < 0:
        raise invalid_field("planned_bytes", "must not be negative")
    if not planned:
        return
    row = await connection.fetchrow(Q.reserve_storage, repository_id, name, planned, lasting)
    if row is not None:
        raise quota_exceeded(row["scope"], row["limit_bytes"], row["held_bytes"])


async def settle_storage(
    connection: Connection, repository_id: UUID, added: int, reservation: UUID | None
) -> None:
    """Takes the bytes that the transaction has added from a reservation.

    Raises QUOTA_EXCEEDED if they are too many beside what is held, and what others have reserved.
    """
    arguments = (repository_id, added, reservation, RESERVED_TIME)
    row = await connection.fetchrow(Q.settle_storage, *arguments)
    if row is not None:
        raise quota_exceeded(row["scope"], row["limit_bytes"], row["held_bytes"] - added)
