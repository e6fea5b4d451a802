"""Teams of an organisation: created, changed, deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from uuid import UUID

import asyncpg
from dits.auth.v1 import team_service_pb2 as pb

from services.auth.organizations.membership import Membership
from services.auth.organizations.roles import HOLDERS, Right
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import (
    invalid_field,
    limit_reached,
    name_taken,
    not_found,
    permission_missing,
)
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

MOST_TEAMS = 1_000
MAX_DESCRIPTION_BYTES = 4_096
MAINTAINER, TEAM_MEMBER = "maintainer", "member"
_ROLES = {TEAM_MEMBER: pb.TEAM_ROLE_MEMBER, MAINTAINER: pb.TEAM_ROLE_MAINTAINER}
_NAMES = {value: name for name, value in _ROLES.items()} | {pb.TEAM_ROLE_UNSPECIFIED: TEAM_MEMBER}
_FIELDS = ("name", "description")


@dataclass(frozen=True, slots=True)
class TeamChange:
    """New values; None = as it is."""

    name: str | None
    description: str | None

    @classmethod
    def of_new(cls, request: pb.CreateTeamRequest) -> Self:
        """Returns what a new team is to be. Raises INVALID_FIELD."""
        return cls(
            _parse_name("name", request.name),
            _parse_description("description", request.description),
        )

    @classmethod
    def parse(cls, request: pb.UpdateTeamRequest) -> Self:
        """Returns what a request asks for. Raises INVALID_FIELD."""
        paths = list(request.update_mask.paths)
        if not paths:
            raise invalid_field("update_mask", "must name at least one field")
        if any(path not in _FIELDS for path in paths):
            raise invalid_field("update_mask", "names a field that cannot be changed")
        name = _parse_name("values.name", request.values.name) if "name" in paths else None
        description = None
        if "description" in paths:
            description = _parse_description("values.description", request.values.description)
        return cls(name, description)


async def create_team(
    connection: Connection, call: Call, membership: Membership, new: TeamChange
) -> UUID:
    """Creates a team in an organisation that is locked; returns its id.

    Raises PERMISSION_MISSING, LIMIT_REACHED, NAME_TAKEN.
    """
    membership.require(Right.MANAGE_TEAMS)
    organization_id = membership.organization_id
    if await connection.fetchval(Q.count_teams, organization_id) >= MOST_TEAMS:
        raise limit_reached("teams", MOST_TEAMS)
    try:
        team_id: UUID = await connection.fetchval(
            Q.insert_team, organization_id, new.name, new.description
        )
    except asyncpg.UniqueViolationError:
        raise name_taken("team", new.name or "") from None
    await audit(
        connection, call, AuditAction.TEAM_CREATED, "team", team_id, new.name or "",
        organization_id=organization_id,
    )  # fmt: skip
    return team_id


async def find_team(connection: Connection, membership: Membership, team: str) -> Row:
    """Returns a team, named by UUID or name, with the caller's role in it. Raises NOT_FOUND."""
    by_id, name = _parse_address(team)
    row = await connection.fetchrow(
        *Q.bind.find_team(
            organization_id=membership.organization_id,
            team_id=by_id,
            name=name,
            user_id=membership.user_id,
        )
    )
    if row is None:
        raise not_found("team", team)
    return row


async def list_teams(
    connection: Connection, membership: Membership, after: str | None, count: int, *, own_only: bool
) -> list[Row]:
    """Returns up to `count` teams after a name in lower case."""
    return await connection.fetch(
        *Q.bind.list_teams(
            organization_id=membership.organization_id,
            user_id=membership.user_id,
            after=after,
            own_only=own_only,
            count=count,
        )
    )


async def update_team(
    connection: Connection, call: Call, membership: Membership, team: Row, change: TeamChange
) -> None:
    """Changes a team; the organisation is locked. Raises PERMISSION_MISSING, NAME_TAKEN."""
    require_manager(membership, team)
    try:
        await connection.execute(Q.update_team, team["id"], change.name, change.description)
    except asyncpg.UniqueViolationError:
        raise name_taken("team", change.name or "") from None
    fields = [name for name in _FIELDS if getattr(change, name) is not None]
    await audit(
        connection, call, AuditAction.TEAM_UPDATED, "team", team["id"],
        change.name or team["name"], organization_id=membership.organization_id, fields=fields,
    )  # fmt: skip


async def delete_team(
    connection: Connection, call: Call, membership: Membership, team: Row
) -> None:
    """Deletes a team, its members' places and its grants. Raises PERMISSION_MISSING."""
    membership.require(Right.MANAGE_TEAMS)
    await connection.execute(Q.delete_team, team["id"])
    await audit(
        connection, call, AuditAction.TEAM_DELETED, "team", team["id"], team["name"],
        organization_id=membership.organization_id,
    )  # fmt: skip


def require_manager(membership: Membership, team: Row) -> None:
    """Raises PERMISSION_MISSING unless the caller manages teams, or maintains this one."""
    if team["role"] != MAINTAINER and not membership.may(Right.MANAGE_TEAMS):
        roles = (*HOLDERS[Right.MANAGE_TEAMS], MAINTAINER)
        raise permission_missing(" or ".join(roles), membership.role)


def parse_team_role(role: pb.TeamRole.ValueType) -> str:
    """Returns the name under which the database knows a role in a team. Raises INVALID_FIELD."""
    if role not in _NAMES:
        raise invalid_field("role", "must be maintainer or member")
    return _NAMES[role]


def describe_role(name: str | None) -> pb.TeamRole.ValueType:
    """Returns a role in a team; None = none."""
    return _ROLES[name] if name else pb.TEAM_ROLE_UNSPECIFIED


def describe_team(row: Row) -> pb.Team:
    """Returns the message of a team."""
    return pb.Team(
        id=str(row["id"]),
        organization_id=str(row["org_id"]),
        name=row["name"],
        description=row["description"] or "",
        member_count=row["member_count"],
        role=describe_role(row["role"]),
        create_time=row["created_at"],
    )


def _parse_name(field: str, value: str) -> str:
    return validation.not_uuid(field, validation.repository_name(field, value))


def _parse_description(field: str, value: str) -> str:
    return validation.prose(field, value, most_bytes=MAX_DESCRIPTION_BYTES)


def _parse_address(team: str) -> tuple[UUID | None, str | None]:
    if validation.is_uuid(team):
        return UUID(team), None
    return None, validation.text("team", team, least=1, most=255).lower()
