"""Locks whose place is taken by the locks that are acquired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from dits.common.v1.event_pb2 import EventType

from services.lock.locks import notifications, rules
from services.lock.locks.ends import End, end
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import invalid_field, not_found
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Call
from shared.rpc.policy import Permission

Q = sql.load(__file__)

# What an administrator's credential needs for what only administrators may do.
ADMIN_SCOPE = "repo:admin"


def require_admin(call: Call) -> None:
    """Raises unless caller and credential may take other people's locks away."""
    call.repository.require(Permission.ADMIN)
    call.caller.require_scope(ADMIN_SCOPE)


@dataclass(frozen=True, slots=True)
class Target:
    """A live lock that a request names."""

    id: UUID
    path: str
    lock_type: str
    owner_id: UUID


async def targets(
    connection: Connection, call: Call, named: Sequence[str], reason: str, now: datetime
) -> list[Target]:
    """Those of the named locks that are live; other people's need the right and a reason."""
    if not named:
        return []
    rows = await connection.fetch(Q.named_locks, call.repository.id, named, now)
    known = {str(row["id"]) for row in rows}
    for lock_id in named:
        if lock_id not in known:
            raise not_found("lock", lock_id)
    live = [
        Target(row["id"], row["path"], row["lock_type"], row["owner_id"])
        for row in rows
        if row["live_until"] is not None
    ]
    if any(target.owner_id != call.caller.user_id for target in live):
        require_admin(call)
        rules.reason(reason, required=True)
    return live


def check_in_way(
    live: Sequence[Target], paths: Sequence[str], lock_type: str, user_id: UUID
) -> None:
    """Raises INVALID_FIELD if a live lock is named that stands in the way of none of the paths."""
    ways = {target.id for target in in_way(live, paths, lock_type, user_id)}
    for target in live:
        if target.id not in ways:
            raise invalid_field(
                "steal_lock_ids", f"{target.id} is not in the way of any of the paths"
            )


def in_way(
    live: Sequence[Target], paths: Sequence[str], lock_type: str, user_id: UUID
) -> list[Target]:
    """The locks that stand in the way of one of the paths, by owner."""
    found = [
        target
        for target in live
        if rules.conflict(target.lock_type, lock_type)
        and not (target.owner_id == user_id and target.lock_type == lock_type)
        and any(
            path == target.path or (target.owner_id != user_id and rules.overlap(path, target.path))
            for path in paths
        )
    ]
    return sorted(found, key=attrgetter("owner_id", "path", "id"))


async def take(
    connection: Connection, call: Call, taken: Sequence[Target], reason: str, now: datetime
) -> None:
    """Ends the locks, each under its owner's name, and tells the owners."""
    me = call.caller.user_id
    for owner_id, group in groupby(taken, key=attrgetter("owner_id")):
        locks = list(group)
        ids = [lock.id for lock in locks]
        if owner_id == me:
            await end(
                connection,
                call.repository.id,
                ids,
                now,
                End(EventType.EVENT_TYPE_LOCK_RELEASED, me),
            )
            continue
        how = End(EventType.EVENT_TYPE_LOCK_STOLEN, me, "force_released", reason)
        await end(connection, call.repository.id, ids, now, how)
        for lock in locks:
            await audit(
                connection, call, AuditAction.LOCK_STOLEN, "lock", lock.id, lock.path,
                repository=str(call.repository.id), holder=str(owner_id), reason=reason,
            )  # fmt: skip
        paths = [lock.path for lock in locks]
        await notifications.taken(connection, call, owner_id, paths, reason, stolen=True)
