"""Locks that new locks replace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from dits.common.v1.event_pb2 import EventType

from services.lock.locks import rules
from services.lock.locks.ends import LockEnd, end_locks
from services.lock.locks.requests import AcquireRequest
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
    """Raises PERMISSION_MISSING, SCOPE_MISSING or SUDO_REQUIRED unless the caller may end others' locks."""
    call.repository.require(Permission.ADMIN)
    call.caller.require_scope(ADMIN_SCOPE)
    call.require_sudo()


@dataclass(frozen=True, slots=True)
class Target:
    """A live lock that a request names, and the paths of the request that it keeps from being locked."""

    id: UUID
    path: str
    holder_id: UUID
    excluded_paths: frozenset[str]


async def find_targets(
    connection: Connection, call: Call, asked: AcquireRequest, now: datetime
) -> list[Target]:
    """Returns the live locks that the request may replace, by holder and path.

    Raises NOT_FOUND for a lock that never was in the repository, and INVALID_FIELD for a live lock that
    conflicts with none of the paths. Locks of other users need ADMIN, sudo and a reason.
    """
    if not asked.steal:
        return []
    rows = await connection.fetch(
        *Q.bind.named_locks(
            repository_id=call.repository.id,
            lock_ids=asked.steal,
            paths=asked.paths,
            user_id=call.caller.user_id,
            lock_type=asked.lock_type,
            now=now,
        )
    )
    known = {str(row["id"]) for row in rows}
    for lock_id in asked.steal:
        if lock_id not in known:
            raise not_found("lock", lock_id)
    targets = [
        Target(row["id"], row["path"], row["owner_id"], frozenset(row["excluded_paths"]))
        for row in rows
        if row["is_live"]
    ]
    if any(target.holder_id != call.caller.user_id for target in targets):
        require_admin(call)
        rules.parse_reason(asked.reason, required=True)
    for target in targets:
        if not target.excluded_paths:
            raise invalid_field("steal_lock_ids", f"{target.id} conflicts with none of the paths")
    return targets


async def end_targets(
    connection: Connection, call: Call, targets: Sequence[Target], reason: str, now: datetime
) -> None:
    """Ends locks that new ones replace, given by holder; holders other than the caller learn of it."""
    me = call.caller.user_id
    for holder_id, group in groupby(targets, key=attrgetter("holder_id")):
        locks = list(group)
        ids = [lock.id for lock in locks]
        if holder_id == me:
            end = LockEnd(EventType.EVENT_TYPE_LOCK_RELEASED, me)
            await end_locks(connection, call.repository.id, ids, now, end)
            continue
        end = LockEnd(EventType.EVENT_TYPE_LOCK_STOLEN, me, "force_released", reason)
        await end_locks(connection, call.repository.id, ids, now, end)
        for lock in locks:
            await audit(
                connection, call, AuditAction.LOCK_STOLEN, "lock", lock.id, lock.path,
                repository_id=call.repository.id, holder=str(holder_id), reason=reason,
            )  # fmt: skip
