"""Owners of repositories: users and organisations, in one namespace."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import not_found
from shared.rpc import validation

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class Owner:
    """A user or organisation, the cell of its repositories, and what one user may do to all of them."""

    type: str
    id: UUID
    name: str
    cell: int
    permission: int


async def resolve_owner(connection: Connection, name: str, user_id: UUID) -> Owner:
    """Returns the owner of this name, with the right of a user. Raises INVALID_FIELD or NOT_FOUND."""
    validation.text("owner", name, most=39)
    row = await connection.fetchrow(Q.owner, name.lower(), user_id)
    if row is None:
        raise not_found("owner", name)
    return Owner(row["owner_type"], row["owner_id"], row["name"], row["cell"], row["permission"])


async def hold_owner(connection: Connection, owner: Owner) -> None:
    """Keeps the owner from being deleted until the transaction ends. Raises NOT_FOUND if it is gone."""
    if not await connection.fetchval(Q.hold_owner, owner.type, owner.id):
        raise not_found("owner", owner.name)
