"""Notifications to users about their locks: one to each user, for any number of locks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.rpc.call import Call

Q = sql.load(__file__)

MAX_LISTED = 10


async def notify_of_removal(
    connection: Connection,
    call: Call,
    holder_id: UUID,
    paths: Sequence[str],
    reason: str,
    *,
    stolen: bool = False,
) -> None:
    """Tells a user that the caller has ended their locks, and replaced them if `stolen`."""
    who, where = call.caller.username, f"{call.repository.owner}/{call.repository.name}"
    verb = "took over" if stolen else "released"
    await connection.execute(
        *Q.bind.notify_user(
            user_id=holder_id,
            type="lock.stolen" if stolen else "lock.force_released",
            title=f"{who} {verb} your {_name_locks(paths)} in {where}",
            message=f"Reason: {reason}\n\n{_list_paths(paths)}",
            link=f"/{where}/locks",
        )
    )


async def notify_of_transfer(
    connection: Connection, call: Call, path: str, old_holder_id: UUID, new_holder_id: UUID
) -> None:
    """Tells the old and the new holder, except the caller, that a lock was transferred."""
    who, where = call.caller.username, f"{call.repository.owner}/{call.repository.name}"
    recipients = {new_holder_id: "to you", old_holder_id: "to another user"}
    for user_id, whom in recipients.items():
        if user_id != call.caller.user_id:
            await connection.execute(
                *Q.bind.notify_user(
                    user_id=user_id,
                    type="lock.transferred",
                    title=f"{who} transferred the lock on {path} in {where} {whom}",
                    message=path,
                    link=f"/{where}/locks",
                )
            )


async def notify_of_expiry(
    connection: Connection,
    repository_id: UUID,
    holder_id: UUID,
    paths: Sequence[str],
    first_end: datetime,
) -> None:
    """Tells a user that their locks will end soon, the first at `first_end`."""
    row = await connection.fetchrow(Q.repository_name, repository_id)
    where = f"{row['owner']}/{row['name']}" if row else str(repository_id)
    await connection.execute(
        *Q.bind.notify_user(
            user_id=holder_id,
            type="lock.expiring",
            title=f"Your {_name_locks(paths)} in {where} will end at {first_end:%H:%M} UTC",
            message=f"Renew what you still need.\n\n{_list_paths(paths)}",
            link=f"/{where}/locks",
        )
    )


def _name_locks(paths: Sequence[str]) -> str:
    return f"lock on {paths[0]}" if len(paths) == 1 else f"{len(paths)} locks"


def _list_paths(paths: Sequence[str]) -> str:
    more = len(paths) - MAX_LISTED
    return "\n".join([*paths[:MAX_LISTED], *([f"and {more} more"] if more > 0 else [])])
