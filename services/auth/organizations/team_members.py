"""Members of teams: those of the organisation whom its managers or the maintainers of the team take in."""

from __future__ import annotations

from dits.auth.v1 import team_service_pb2 as pb
from dits.common.v1.event_pb2 import EventType, MemberPayload

from services.auth.organizations.members import find_member
from services.auth.organizations.membership import Membership
from services.auth.organizations.teams import describe_role, require_manager
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import not_found
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc.call import Call

Q = sql.load(__file__)


async def list_team_members(
    connection: Connection, team: Row, after: str | None, count: int
) -> list[Row]:
    """Returns up to `count` members of a team after a username in lower case."""
    return await connection.fetch(Q.list_team_members, team["id"], after, count)


async def set_team_member(
    connection: Connection, call: Call, membership: Membership, team: Row, user: str, role: str
) -> Row:
    """Gives a member of the organisation, which is locked, a role in a team, and returns the member's row.

    Raises PERMISSION_MISSING, and NOT_FOUND if the user is no member of the organisation.
    """
    require_manager(membership, team)
    member = await find_member(connection, membership, user)
    before = await connection.fetchval(Q.find_role, team["id"], member["user_id"])
    if before != role:
        await connection.execute(Q.set_role, team["id"], member["user_id"], role)
        action = AuditAction.TEAM_MEMBER_ROLE_CHANGED if before else AuditAction.TEAM_MEMBER_ADDED
        await _record(connection, call, action, membership, team, member, role)
    row = await connection.fetchrow(Q.read_team_member, team["id"], member["user_id"])
    assert row is not None  # noqa: S101  it was just set
    return row


async def remove_team_member(
    connection: Connection, call: Call, membership: Membership, team: Row, user: str
) -> None:
    """Takes a member out of a team; the organisation is locked. Raises PERMISSION_MISSING, NOT_FOUND."""
    member = await find_member(connection, membership, user)
    if member["user_id"] != membership.user_id:
        require_manager(membership, team)
    if not await connection.fetchval(Q.remove_team_member, team["id"], member["user_id"]):
        raise not_found("member", user)
    action = AuditAction.TEAM_MEMBER_REMOVED
    await _record(connection, call, action, membership, team, member, "")


def describe_team_member(row: Row) -> pb.TeamMember:
    """Returns the message of a member of a team."""
    return pb.TeamMember(
        user_id=str(row["user_id"]),
        username=row["username"],
        name=row["name"] or "",
        role=describe_role(row["role"]),
        join_time=row["added_at"],
    )


async def _record(
    connection: Connection,
    call: Call,
    action: AuditAction,
    membership: Membership,
    team: Row,
    member: Row,
    team_role: str,
) -> None:
    """Writes the audit row and the event of a change."""
    organization_id = membership.organization_id
    await audit(
        connection, call, action, "user", member["user_id"], member["username"],
        organization_id=organization_id, team=team["name"], team_id=str(team["id"]),
        team_role=team_role,
    )  # fmt: skip
    payload = MemberPayload(
        organization=membership.name,
        user_id=str(member["user_id"]),
        username=member["username"],
        role=member["role"],
        previous_role=member["role"],
        team_id=str(team["id"]),
        team=team["name"],
        team_role=team_role,
    )
    event = EventType.EVENT_TYPE_MEMBER_TEAM_LEFT
    if team_role:
        event = EventType.EVENT_TYPE_MEMBER_TEAM_JOINED
    await emit(connection, call, event, None, payload, organization_id=organization_id)
