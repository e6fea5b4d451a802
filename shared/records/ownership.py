"""Whether a repository still has the owner under which a call was let in."""

from __future__ import annotations

from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import contention, not_found
from shared.rpc.call import Call
from shared.rpc.policy import Permission

Q = sql.load(__file__)


async def require_same_owner(
    connection: Connection, call: Call, owner_type: str, owner_id: UUID, name: str
) -> None:
    """Raises CONTENTION if the repository of a call went to another owner after the call was let in.

    The owner given is the present one. Whoever administers all that it has is let pass.
    """
    judged = call.repository
    if owner_type == "organization":
        is_same = judged.organization_id == owner_id
    else:
        is_same = judged.organization_id is None and judged.owner.lower() == name.lower()
    if is_same:
        return
    user_id = call.caller.user_id
    permission = await connection.fetchval(Q.find_permission, user_id, owner_type, owner_id)
    if permission < Permission.ADMIN or owner_id in call.caller.refused_by:
        raise contention("the repository went to another owner meanwhile")


async def check_owner(connection: Connection, call: Call) -> None:
    """Keeps the repository of a call with its owner until the commit.

    Raises CONTENTION as `require_same_owner`, or NOT_FOUND.
    """
    row = await connection.fetchrow(Q.owner, call.repository.id)
    if row is None:
        raise not_found("repository", str(call.repository.id))
    await require_same_owner(connection, call, row["owner_type"], row["owner_id"], row["name"])
