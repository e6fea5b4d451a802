"""What people are told in their inbox about their locks: one notice per person, however many locks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.rpc.call import Call

Q = sql.load(__file__)

MAX_LISTED = 10


async def taken(
    connection: Connection,
    call: Call,
    owner_id: UUID,
    paths: Sequence[str],
    reason: str,
    *,
    stolen: bool = False,
) -> None:
    """An administrator has ended somebody's locks, and perhaps taken their place."""
    who, where = call.caller.username, f"{call.repository.owner}/{call.repository.name}"
    verb = "took over" if stolen else "released"
    await connection.execute(
        Q.notify_user,
        owner_id,
        "lock.stolen" if stolen else "lock.force_released",
        f"{who} {verb} your {_what(paths)} in {where}",
        f"Reason: {reason}\n\n{_listed(paths)}",
        _link(where),
    )


async def handed_on(
    connection: Connection, call: Call, path: str, old_owner: UUID, new_owner: UUID
) -> None:
    """A lock has a new holder; whoever did it knows."""
    who, where = call.caller.username, f"{call.repository.owner}/{call.repository.name}"
    told = {new_owner: "to you", old_owner: "to somebody else"}
    for user_id, whom in told.items():
        if user_id != call.caller.user_id:
            await connection.execute(
                Q.notify_user,
                user_id,
                "lock.transferred",
                f"{who} handed the lock on {path} in {where} on {whom}",
                path,
                _link(where),
            )


async def expiring(
    connection: Connection,
    repo_id: UUID,
    owner_id: UUID,
    paths: Sequence[str],
    first_end: datetime,
) -> None:
    """Somebody's locks are about to end."""
    row = await connection.fetchrow(Q.repository_name, repo_id)
    where = f"{row['owner']}/{row['name']}" if row else str(repo_id)
    await connection.execute(
        Q.notify_user,
        owner_id,
        "lock.expiring",
        f"Your {_what(paths)} in {where} will end at {first_end:%H:%M} UTC",
        f"Renew what you still need.\n\n{_listed(paths)}",
        _link(where),
    )


def _what(paths: Sequence[str]) -> str:
    return f"lock on {paths[0]}" if len(paths) == 1 else f"{len(paths)} locks"


def _listed(paths: Sequence[str]) -> str:
    more = len(paths) - MAX_LISTED
    return "\n".join([*paths[:MAX_LISTED], *([f"and {more} more"] if more > 0 else [])])


def _link(where: str) -> str:
    return f"/{where}/locks"
