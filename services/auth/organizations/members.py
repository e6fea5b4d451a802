"""Members of an organisation: listed, given other roles, removed. An owner who can log in always stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from uuid import UUID

from dits.auth.v1 import organization_service_pb2 as pb
from dits.common.v1.event_pb2 import EventType, MemberPayload

from services.auth.organizations.membership import Membership
from services.auth.organizations.roles import NAMES, OWNER, ROLES, Right
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invalid_field, last_owner, not_found
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class MemberFilter:
    """Which members are listed.

    Attributes:
        query: text in the username or name; empty = all.
        role: None = every role.
    """

    query: str
    role: str | None

    @classmethod
    def parse(cls, request: pb.ListMembersRequest) -> Self:
        """Returns what a request asks for. Raises INVALID_FIELD."""
        query = validation.text("query", request.query, most=100)
        if request.role and request.role not in NAMES:
            raise invalid_field("role", "is not a role")
        return cls(query, NAMES.get(request.role))


async def list_members(
    connection: Connection,
    membership: Membership,
    wanted: MemberFilter,
    after: str | None,
    count: int,
) -> list[Row]:
    """Returns up to `count` members after a username in lower case."""
    return await connection.fetch(
        *Q.bind.list_members(
            organization_id=membership.organization_id,
            query=wanted.query,
            role=wanted.role,
            after=after,
            count=count,
        )
    )


async def find_member(connection: Connection, membership: Membership, user: str) -> Row:
    """Returns a member, named by UUID or username. Raises INVALID_FIELD, NOT_FOUND."""
    by_id, name = validation.id_or_name("user", user)
    row = await connection.fetchrow(Q.find_member, membership.organization_id, by_id, name)
    if row is None:
        raise not_found("member", user)
    return row


async def change_role(
    connection: Connection, call: Call, membership: Membership, member: Row, role: str
) -> None:
    """Gives a member another role. The organisation is locked. Raises PERMISSION_MISSING, LAST_OWNER."""
    if OWNER in (member["role"], role):
        membership.require(Right.MANAGE_OWNERS)
    if role == member["role"]:
        return
    if member["role"] == OWNER:
        await _require_other_owner(connection, membership, member["user_id"])
    await connection.execute(Q.change_role, membership.organization_id, member["user_id"], role)
    await audit(
        connection, call, AuditAction.MEMBER_ROLE_CHANGED, "user", member["user_id"],
        member["username"], organization_id=membership.organization_id, role=role,
        previous_role=member["role"],
    )  # fmt: skip
    await _announce(connection, call, membership, member, role)


async def remove_member(
    connection: Connection, call: Call, membership: Membership, member: Row
) -> None:
    """Ends a membership, in teams too; the organisation is locked.

    Raises PERMISSION_MISSING, LAST_OWNER.
    """
    if member["user_id"] != membership.user_id:
        membership.require(Right.MANAGE_MEMBERS)
        if member["role"] == OWNER:
            membership.require(Right.MANAGE_OWNERS)
    if member["role"] == OWNER:
        await _require_other_owner(connection, membership, member["user_id"])
    await connection.execute(Q.leave_teams, membership.organization_id, member["user_id"])
    await connection.execute(Q.remove_member, membership.organization_id, member["user_id"])
    await audit(
        connection, call, AuditAction.MEMBER_REMOVED, "user", member["user_id"],
        member["username"], organization_id=membership.organization_id,
        previous_role=member["role"],
    )  # fmt: skip
    await _announce(connection, call, membership, member, "")


def describe_member(row: Row) -> pb.Member:
    """Returns the message of a member."""
    return pb.Member(
        user_id=str(row["user_id"]),
        username=row["username"],
        name=row["name"] or "",
        role=ROLES[row["role"]],
        join_time=row["joined_at"],
        inviter=row["inviter"] or "",
    )


async def _require_other_owner(
    connection: Connection, membership: Membership, user_id: UUID
) -> None:
    """Raises LAST_OWNER if nobody else owns the organisation who can log in."""
    if not await connection.fetchval(Q.has_other_owner, membership.organization_id, user_id):
        raise last_owner([membership.name])


async def _announce(
    connection: Connection, call: Call, membership: Membership, member: Row, role: str
) -> None:
    """Emits what a change of a role, or its end, is to others."""
    payload = MemberPayload(
        organization=membership.name,
        user_id=str(member["user_id"]),
        username=member["username"],
        role=role,
        previous_role=member["role"],
    )
    event = (
        EventType.EVENT_TYPE_MEMBER_ROLE_CHANGED if role else EventType.EVENT_TYPE_MEMBER_REMOVED
    )
    await emit(connection, call, event, None, payload, organization_id=membership.organization_id)
