"""Rights on a repository that users and teams were given by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dits.common.v1.event_pb2 import EventType, RepoPayload
from dits.common.v1.permission_pb2 import Permission
from dits.repo.v1 import grant_service_pb2 as pb

from services.repo.repositories.holding import HeldRepository
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invalid_field, limit_reached, not_found
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

MOST_GRANTS = 1_000
USER, TEAM = "user", "team"
# As the database knows them.
_LEVELS: dict[Any, str] = {
    Permission.PERMISSION_READ: "read",
    Permission.PERMISSION_WRITE: "write",
    Permission.PERMISSION_ADMIN: "admin",
}
_PERMISSIONS = {level: permission for permission, level in _LEVELS.items()}


@dataclass(frozen=True, slots=True)
class Grantee:
    """A user or a team.

    Attributes:
        type: USER or TEAM.
    """

    type: str
    id: UUID
    name: str

    def describe(self) -> dict[str, str]:
        """Returns what events and messages tell of it, by field."""
        name = "username" if self.type == USER else "team"
        return {f"{self.type}_id": str(self.id), name: self.name}


def parse_permission(value: Permission.ValueType) -> str:
    """Returns a right as the database knows it. Raises INVALID_FIELD."""
    if value not in _LEVELS:
        raise invalid_field("permission", "must be READ, WRITE or ADMIN")
    return _LEVELS[value]


async def find_grantee(
    connection: Connection, held: HeldRepository, request: Any, *, active: bool
) -> Grantee:
    """Returns whom a request names by `user` or `team`.

    `active`: not a user who cannot log in. Raises INVALID_FIELD, NOT_FOUND.
    """
    if bool(request.user) == bool(request.team):
        raise invalid_field("user", "or team must be set, and not both")
    if request.user:
        by_id, name = validation.id_or_name("user", request.user)
        row = await connection.fetchrow(Q.find_user, by_id, name, active)
        found = row and Grantee(USER, row["id"], row["username"])
    else:
        validation.text("team", request.team, most=100)
        by_id = UUID(request.team) if validation.is_uuid(request.team) else None
        name = None if by_id else request.team.lower()
        owner_id = held.owner.id if held.owner.type == "organization" else None
        row = await connection.fetchrow(Q.find_team, owner_id, by_id, name)
        found = row and Grantee(TEAM, row["id"], row["name"])
    if not found:
        kind = USER if request.user else TEAM
        raise not_found(kind, request.user or request.team)
    return found


async def set_grant(
    connection: Connection, call: Call, held: HeldRepository, grantee: Grantee, level: str
) -> Row:
    """Gives a right; the repository is locked. Returns the grant. Raises INVALID_FIELD, LIMIT_REACHED."""
    if grantee.id == held.owner.id:
        raise invalid_field("user", "owns the repository, which includes all rights")
    before = await _find_level(connection, held, grantee)
    if before != level:
        if before is None and await connection.fetchval(Q.count_grants, held.id) >= MOST_GRANTS:
            raise limit_reached("grants", MOST_GRANTS)
        query = Q.set_user if grantee.type == USER else Q.set_team
        await connection.execute(query, held.id, grantee.id, level, call.caller.user_id)
        await _record(connection, call, held, grantee, level, before or "")
    row = await connection.fetchrow(Q.get_grant, held.id, grantee.id)
    assert row is not None  # noqa: S101  it is there now
    return row


async def remove_grant(
    connection: Connection, call: Call, held: HeldRepository, grantee: Grantee
) -> None:
    """Takes a right back; the repository is locked. Raises NOT_FOUND."""
    before = await _find_level(connection, held, grantee)
    if before is None:
        raise not_found("grant", grantee.name)
    query = Q.remove_user if grantee.type == USER else Q.remove_team
    await connection.execute(query, held.id, grantee.id)
    await _record(connection, call, held, grantee, "", before)


async def list_grants(
    connection: Connection, repository_id: UUID, after: Sequence[Any] | None, count: int
) -> list[Row]:
    """Returns grants after a kind of grantee and a name in lower case: users, then teams."""
    place, name = after or (0, "")
    return await connection.fetch(Q.list_grants, repository_id, place, name, count)


def describe_grant(row: Row) -> pb.Grant:
    """Returns the message of a grant."""
    kind = USER if row["place"] == 0 else TEAM
    described: dict[str, Any] = Grantee(kind, row["grantee_id"], row["name"]).describe()
    return pb.Grant(
        **described,
        permission=_PERMISSIONS[row["permission"]],
        create_time=row["added_at"],
        granted_by=row["granted_by"] or "",
    )


async def _find_level(connection: Connection, held: HeldRepository, grantee: Grantee) -> str | None:
    row = await connection.fetchrow(Q.get_grant, held.id, grantee.id)
    return None if row is None else str(row["permission"])


async def _record(
    connection: Connection,
    call: Call,
    held: HeldRepository,
    grantee: Grantee,
    level: str,
    before: str,
) -> None:
    action = AuditAction.GRANT_SET if level else AuditAction.GRANT_REMOVED
    described: dict[str, Any] = grantee.describe()
    await audit(
        connection, call, action, "repository", held.id, held.name,
        repository_id=held.id, permission=level, previous_permission=before, **described,
    )  # fmt: skip
    payload = RepoPayload(
        owner=held.owner.name,
        name=held.name,
        permission=level,
        previous_permission=before,
        **described,
    )
    event = EventType.EVENT_TYPE_REPO_ACCESS_REVOKED
    if level:
        event = EventType.EVENT_TYPE_REPO_ACCESS_GRANTED
    await emit(connection, call, event, held.id, payload)
