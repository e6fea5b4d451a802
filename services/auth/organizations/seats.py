"""Seats: how many members an organisation may have. Its row is locked whenever they are counted."""

from __future__ import annotations

from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import limit_reached

Q = sql.load(__file__)


async def require_seat(
    connection: Connection, organization_id: UUID, *, counts_invitations: bool
) -> None:
    """Raises LIMIT_REACHED if members, and with `counts_invitations` open invitations, take all seats."""
    row = await connection.fetchrow(Q.count_seats, organization_id)
    assert row is not None  # noqa: S101  its row is locked
    taken = row["members"] + (row["invitations"] if counts_invitations else 0)
    if row["plan_seats"] is not None and taken >= row["plan_seats"]:
        kind = "members and open invitations" if counts_invitations else "members"
        raise limit_reached(kind, row["plan_seats"])
