"""Deleting repositories, and bringing them back."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import asyncpg
from dits.common.v1.event_pb2 import EventType, RepoPayload

from services.repo.repositories.holding import (
    HeldRepository,
    hold_deleted_repository,
    hold_repository,
)
from services.repo.repositories.messages import UNDELETE_TIME
from services.repo.repositories.names import free_former_names, refuse_name
from services.repo.repositories.room import require_room
from shared.db import sql
from shared.db.clock import read_clock
from shared.db.pool import Connection
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc.call import Call

Q = sql.load(__file__)


async def delete_repository(
    connection: Connection, call: Call, *, validate_only: bool = False
) -> datetime:
    """Deletes the repository of a call; returns from when on it cannot be brought back.

    Waits for pushes that are under way. Raises NOT_FOUND, PERMISSION_MISSING, REPOSITORY_READ_ONLY.
    """
    held = await hold_repository(
        connection, call.repository.id, call.caller, alone=not validate_only
    )
    held.require_owner_right()
    held.require_enabled()
    if validate_only:
        return await read_clock(connection) + UNDELETE_TIME
    deleted_at: datetime = await connection.fetchval(Q.delete_repository, held.id)
    await free_former_names(connection, held)
    await connection.execute(Q.delete_transfer, held.id)
    await _record(
        connection,
        call,
        held,
        held.name,
        AuditAction.REPOSITORY_DELETED,
        EventType.EVENT_TYPE_REPO_DELETED,
    )
    return deleted_at + UNDELETE_TIME


async def undelete_repository(
    connection: Connection, call: Call, repository_id: UUID, name: str
) -> None:
    """Brings a repository back, under a name (empty = its own). One that is there stays as it is.

    Raises NOT_FOUND, NAME_TAKEN, QUOTA_EXCEEDED.
    """
    held = await hold_deleted_repository(connection, repository_id, call.caller)
    if held.row["deleted_at"] is None:
        return
    name = name or held.name
    try:
        await connection.execute(Q.undelete_repository, held.id, name)
    except asyncpg.UniqueViolationError as error:
        raise refuse_name(name, error) from None
    await require_room(connection, held)
    await _record(
        connection,
        call,
        held,
        name,
        AuditAction.REPOSITORY_UNDELETED,
        EventType.EVENT_TYPE_REPO_UNDELETED,
    )


async def _record(
    connection: Connection,
    call: Call,
    held: HeldRepository,
    name: str,
    action: AuditAction,
    event: EventType.ValueType,
) -> None:
    await audit(connection, call, action, "repository", held.id, name, repository_id=held.id)
    payload = RepoPayload(
        owner=held.owner.name, name=name, previous_name=held.name if name != held.name else ""
    )
    await emit(connection, call, event, held.id, payload)
