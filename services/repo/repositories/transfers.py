"""Repositories go to another owner: requested by the side of the one, accepted by the side of the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
from dits.common.v1.event_pb2 import EventType, RepoPayload
from dits.repo.v1 import transfer_service_pb2 as pb

from services.repo.repositories.holding import HeldRepository, hold_repository
from services.repo.repositories.names import keep_former_name, refuse_name
from services.repo.repositories.owners import Owner, hold_owner, limit_right, resolve_owner
from services.repo.repositories.room import require_room
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import (
    cells_differ,
    invalid_field,
    limit_reached,
    not_found,
)
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc.call import Call
from shared.rpc.policy import Permission

Q = sql.load(__file__)

# How long a request is open, and how many one owner may have to answer.
OPEN_TIME = timedelta(days=7)
MOST_OPEN = 100


async def request_transfer(connection: Connection, call: Call, new_owner: str) -> Row | None:
    """Asks for a transfer of the repository of a call; returns the request, or None if it was made already.

    Raises INVALID_FIELD, NOT_FOUND, PERMISSION_MISSING, REPOSITORY_READ_ONLY, CELLS_DIFFER, LIMIT_REACHED,
    NAME_TAKEN, QUOTA_EXCEEDED.
    """
    new = await _resolve(connection, call, new_owner)
    is_both = new.permission >= Permission.ADMIN
    held = await hold_repository(connection, call.repository.id, call.caller, alone=is_both)
    held.require_owner_right()
    if new.id == held.owner.id:
        return None
    _require_possible(held, new)
    if is_both:
        await transfer_repository(connection, call, held, new)
        await require_room(connection, held)
        return None
    before = await connection.fetchrow(Q.get_transfer, held.id)
    if before is None or before["new_owner_id"] != new.id:
        await _insert_request(connection, call, held, new)
    return await connection.fetchrow(Q.get_transfer, held.id)


async def accept_transfer(
    connection: Connection, call: Call, repository_id: UUID, name: str
) -> str:
    """Makes a transfer that was requested, and returns the address. The name may be empty: as it was.

    Raises NOT_FOUND, REPOSITORY_READ_ONLY, CELLS_DIFFER, LIMIT_REACHED, NAME_TAKEN, QUOTA_EXCEEDED.
    """
    await _find_request(connection, call, repository_id)
    held = await hold_repository(connection, repository_id, call.caller, alone=True)
    new = await _find_request(connection, call, repository_id)
    _require_possible(held, new)
    address = await transfer_repository(connection, call, held, new, name)
    await require_room(connection, held)
    return address


async def force_transfer(
    connection: Connection, call: Call, repository_id: UUID, new_owner: str, name: str, reason: str
) -> str:
    """Makes a transfer for the operator, and returns the address; see `accept_transfer`."""
    new = await _resolve(connection, call, new_owner)
    held = await hold_repository(connection, repository_id, call.caller, alone=True)
    _require_possible(held, new, is_operator=True)
    return await transfer_repository(connection, call, held, new, name, reason=reason)


async def cancel_transfer(connection: Connection, call: Call, repository_id: UUID) -> None:
    """Ends a request. Raises NOT_FOUND, to those too who administer neither side."""
    await _find_request(connection, call, repository_id, either_side=True)
    held = await hold_repository(connection, repository_id, call.caller)
    new = await _find_request(connection, call, repository_id, either_side=True)
    await connection.execute(Q.delete_transfer, repository_id)
    action = AuditAction.REPOSITORY_TRANSFER_CANCELLED
    await audit(
        connection, call, action, "repository", held.id, held.name,
        repository_id=held.id, new_owner=new.name,
    )  # fmt: skip


async def list_transfers(
    connection: Connection, owner: Owner, after: Sequence[Any] | None, count: int
) -> list[Row]:
    """Returns open requests to an owner and from it, after a repository."""
    after_id = UUID(after[0]) if after else UUID(int=0)
    return await connection.fetch(Q.list_transfers, owner.type, owner.id, after_id, count)


async def transfer_repository(
    connection: Connection,
    call: Call,
    held: HeldRepository,
    new: Owner,
    name: str = "",
    **details: str,
) -> str:
    """Gives a repository, which is locked alone, to another owner; returns its address.

    Raises NOT_FOUND if the owner is gone, LIMIT_REACHED, NAME_TAKEN.
    """
    await hold_owner(connection, new)
    name = name or held.name
    try:
        await connection.execute(Q.set_owner, held.id, new.type, new.id, name)
    except asyncpg.UniqueViolationError as error:
        raise refuse_name(name, error) from None
    await keep_former_name(connection, held)
    for query in (Q.delete_transfer, Q.delete_team_grants, Q.delete_owner_grant):
        await connection.execute(query, held.id)
    was_organization = held.owner.type == "organization"
    await audit(
        connection, call, AuditAction.REPOSITORY_TRANSFERRED, "repository", held.id, name,
        repository_id=held.id, organization_id=held.owner.id if was_organization else None,
        owner=held.owner.name, new_owner=new.name, **details,
    )  # fmt: skip
    payload = RepoPayload(
        owner=new.name,
        name=name,
        previous_owner=held.owner.name,
        previous_name=held.name if name != held.name else "",
    )
    await emit(connection, call, EventType.EVENT_TYPE_REPO_TRANSFERRED, held.id, payload)
    return f"{new.name}/{name}"


def describe_transfer(row: Row) -> pb.Transfer:
    """Returns the message of a request."""
    return pb.Transfer(
        repository_id=str(row["repo_id"]),
        owner=row["owner"],
        name=row["name"],
        new_owner=row["new_owner"],
        requester=row["requester"],
        create_time=row["created_at"],
        expire_time=row["expires_at"],
    )


async def _resolve(connection: Connection, call: Call, name: str) -> Owner:
    return await resolve_owner(connection, name, call.caller, "new_owner")


def _require_possible(held: HeldRepository, new: Owner, *, is_operator: bool = False) -> None:
    """Raises INVALID_FIELD, CELLS_DIFFER, REPOSITORY_READ_ONLY."""
    if not is_operator:
        held.require_enabled()
    if new.id == held.owner.id:
        raise invalid_field("new_owner", "owns the repository already")
    if new.cell != held.owner.cell:
        raise cells_differ(new.cell, held.owner.cell)


async def _insert_request(
    connection: Connection, call: Call, held: HeldRepository, new: Owner
) -> None:
    await connection.execute(Q.lock_new_owner, str(new.id))
    await connection.execute(Q.delete_expired)
    if await connection.fetchval(Q.count_transfers, new.type, new.id) >= MOST_OPEN:
        raise limit_reached("open requests", MOST_OPEN)
    await connection.execute(
        *Q.bind.insert_transfer(
            repository_id=held.id,
            owner_type=new.type,
            owner_id=new.id,
            user_id=call.caller.user_id,
            time=OPEN_TIME,
        )
    )
    action = AuditAction.REPOSITORY_TRANSFER_REQUESTED
    await audit(
        connection, call, action, "repository", held.id, held.name,
        repository_id=held.id, new_owner=new.name,
    )  # fmt: skip


async def _find_request(
    connection: Connection, call: Call, repository_id: UUID, *, either_side: bool = False
) -> Owner:
    """Returns the new owner of an open request, if the caller administers that side (or either).

    Raises NOT_FOUND.
    """
    row = await connection.fetchrow(Q.find_request, repository_id, call.caller.user_id)
    if row is None:
        raise not_found("transfer", str(repository_id))
    permission = limit_right(call.caller, row["owner_id"], row["permission"])
    own = limit_right(call.caller, row["own_id"], row["own"]) if either_side else Permission.NONE
    if max(permission, own) < Permission.ADMIN:
        raise not_found("transfer", str(repository_id))
    return Owner(row["owner_type"], row["owner_id"], row["name"], row["cell"], permission)
