"""Organisations: created, changed, renamed and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self
from uuid import UUID

import asyncpg
from dits.auth.v1 import organization_service_pb2 as pb
from dits.common.v1.event_pb2 import EventType, MemberPayload

from services.auth.organizations.membership import Membership
from services.auth.organizations.profiles import OrganizationChange
from services.auth.organizations.roles import OWNER
from services.auth.owner_names import FORMER_NAME, refuse_owner_name
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import (
    limit_reached,
    mfa_required,
    owns_repositories,
    unauthenticated,
)
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc import validation
from shared.rpc.call import Call, Caller

Q = sql.load(__file__)

# How long a former name leads to its organisation.
NAME_KEPT = timedelta(days=30)
# How many names one organisation keeps from others, and how many organisations one user owns.
MOST_FORMER_NAMES = 10
MOST_OWNED = 100
MAX_COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """An organisation that is to be created."""

    name: str
    display_name: str

    @classmethod
    def parse(cls, request: pb.CreateOrganizationRequest) -> Self:
        """Returns what a request asks for. Raises INVALID_FIELD."""
        name = validation.username("name", request.name)
        display_name = validation.text("display_name", request.display_name, most=255)
        return cls(name, display_name or name)


async def create_organization(connection: Connection, call: Call, new: NewOrganization) -> UUID:
    """Creates an organisation that the caller owns; returns its id.

    Raises LIMIT_REACHED, NAME_TAKEN.
    """
    if not await connection.fetchval(Q.lock_user, call.caller.user_id):
        raise unauthenticated()
    if await connection.fetchval(Q.count_owned, call.caller.user_id) >= MOST_OWNED:
        raise limit_reached("organisations of yours", MOST_OWNED)
    try:
        created: UUID = await connection.fetchval(Q.insert_organization, new.name, new.display_name)
    except asyncpg.UniqueViolationError as error:
        is_former = error.constraint_name == FORMER_NAME
        raise refuse_owner_name("organization", new.name, is_former=is_former) from None
    owner = call.caller
    await connection.execute(Q.insert_owner, created, owner.user_id, OWNER)
    await audit(
        connection, call, AuditAction.ORGANIZATION_CREATED, "organization", created, new.name,
        organization_id=created,
    )  # fmt: skip
    payload = MemberPayload(
        organization=new.name, user_id=str(owner.user_id), username=owner.username, role=OWNER
    )
    added = EventType.EVENT_TYPE_MEMBER_ADDED
    await emit(connection, call, added, None, payload, organization_id=created)
    return created


async def read_organization(connection: Connection, membership: Membership) -> Row:
    """Returns an organisation with the role of a member."""
    row = await connection.fetchrow(
        Q.read_organization, membership.organization_id, membership.user_id
    )
    assert row is not None  # noqa: S101  the member is there
    return row


async def list_organizations(
    connection: Connection, caller: Caller, after: str | None, count: int
) -> list[Row]:
    """Returns organisations of a caller that let its credential in, after a name in lower case."""
    return await connection.fetch(
        *Q.bind.list_organizations(
            user_id=caller.user_id, refused_by=list(caller.refused_by), after=after, count=count
        )
    )


async def update_organization(
    connection: Connection, call: Call, membership: Membership, change: OrganizationChange
) -> None:
    """Changes an organisation that is locked. Raises PERMISSION_MISSING, LIMIT_REACHED, NAME_TAKEN."""
    for right in sorted(change.rights, key=lambda right: right.value):
        membership.require(right)
    if change.values.get("settings.require_mfa") and not membership.has_mfa:
        raise mfa_required(membership.name)
    columns = change.columns()
    new_name = columns["name"]
    try:
        await connection.execute(
            *Q.bind.update_organization(id=membership.organization_id, **columns)
        )
    except asyncpg.UniqueViolationError as error:
        is_former = error.constraint_name == FORMER_NAME
        raise refuse_owner_name("organization", new_name, is_former=is_former) from None
    if new_name is not None and new_name.lower() != membership.name.lower():
        await _keep_name(connection, membership, new_name)
    await audit(
        connection, call, AuditAction.ORGANIZATION_UPDATED, "organization",
        membership.organization_id, new_name or membership.name,
        organization_id=membership.organization_id, fields=sorted(change.values),
    )  # fmt: skip


async def _keep_name(connection: Connection, membership: Membership, new_name: str) -> None:
    """Makes the old name lead to the organisation, and the new one, if it was an old one, its own again."""
    await connection.execute(Q.drop_former_names, new_name)
    kept = await connection.fetchval(Q.count_former_names, membership.organization_id)
    if kept >= MOST_FORMER_NAMES:
        raise limit_reached("former names", MOST_FORMER_NAMES)
    await connection.execute(
        Q.keep_former_name, membership.name, membership.organization_id, NAME_KEPT
    )


async def delete_organization(connection: Connection, call: Call, membership: Membership) -> None:
    """Deletes an organisation that is locked and owns nothing; its row stays, and its names are free."""
    organization_id = membership.organization_id
    for query in (Q.delete_teams, Q.delete_members, Q.revoke_invitations, Q.free_former_names):
        await connection.execute(query, organization_id)
    await connection.execute(Q.delete_organization, organization_id)
    await audit(
        connection, call, AuditAction.ORGANIZATION_DELETED, "organization", organization_id,
        membership.name, organization_id=organization_id,
    )  # fmt: skip


async def require_no_repositories(
    connection: Connection, owner_type: str, owner_id: UUID, owner: str
) -> None:
    """Raises OWNS_REPOSITORIES, naming some. The caller has locked the owner's row."""
    names: Sequence[Row] = await connection.fetch(
        Q.owned_repositories, owner_type, owner_id, MAX_COUNTED
    )
    if names:
        raise owns_repositories(owner, [row["name"] for row in names])
