"""Owners of repositories: users and organisations, in one namespace."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import not_found, permission_missing
from shared.rpc import validation
from shared.rpc.call import Caller
from shared.rpc.policy import Permission

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class Owner:
    """A user or organisation, the cell of its repositories, and what one user may do to all of them."""

    type: str
    id: UUID
    name: str
    cell: int
    permission: int

    def require_admin(self) -> None:
        """Raises PERMISSION_MISSING unless that user has ADMIN on all of them."""
        if self.permission < Permission.ADMIN:
            raise permission_missing(Permission.ADMIN.name, Permission(self.permission).name)


async def resolve_owner(
    connection: Connection, owner: str, caller: Caller, field: str = "owner"
) -> Owner:
    """Returns an owner, with the right of a caller: none if it does not let the token in.

    `owner`: UUID or name, as the request's `field` has it. Raises INVALID_FIELD or NOT_FOUND.
    """
    owner_id, name = validation.id_or_name(field, owner)
    row = await connection.fetchrow(Q.owner, owner_id, name, caller.user_id)
    if row is None:
        raise not_found("owner", owner)
    permission = limit_right(caller, row["owner_id"], row["permission"])
    return Owner(row["owner_type"], row["owner_id"], row["name"], row["cell"], permission)


def limit_right(caller: Caller, owner_id: UUID, permission: int) -> int:
    """Returns a caller's right on all that an owner has: none if that does not let its token in."""
    return Permission.NONE if owner_id in caller.refused_by else permission


async def hold_owner(connection: Connection, owner: Owner) -> None:
    """Keeps the owner from being deleted until the transaction ends. Raises NOT_FOUND if it is gone."""
    if not await connection.fetchval(Q.hold_owner, owner.type, owner.id):
        raise not_found("owner", owner.name)
