"""Whether a repository is still what it was when a call was let in: with its owner, and writable."""

from __future__ import annotations

from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import contention, not_found, repository_read_only
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


async def require_unchanged(connection: Connection, call: Call) -> None:
    """Keeps the repository of a call until the commit as it was when the call was let in.

    Raises CONTENTION as `require_same_owner`, NOT_FOUND, and REPOSITORY_READ_ONLY if the call changes a
    repository that was archived or disabled meanwhile.
    """
    row = await connection.fetchrow(Q.hold_repository, call.repository.id)
    if row is None:
        raise not_found("repository", str(call.repository.id))
    if call.mutates and row["read_only"]:
        raise repository_read_only()
    await require_same_owner(connection, call, row["owner_type"], row["owner_id"], row["name"])
