"""The compare-and-swap of branches, inside the transaction of a push or an update."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from services.repo.history import ancestry
from services.repo.history.ancestry import Node
from services.repo.push.stream import Update
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import branch_protected, head_moved, not_fast_forward
from shared.rpc.call import RepositoryAccess
from shared.rpc.policy import Permission

Q = sql.load(__file__)


async def heads(connection: Connection, repo_id: UUID, names: Sequence[str]) -> dict[str, str]:
    """Where some branches are now, without a lock."""
    rows = await connection.fetch(Q.heads, repo_id, names)
    return {row["name"]: row["head_commit"] for row in rows}


async def move(
    connection: Connection,
    repository: RepositoryAccess,
    user_id: UUID,
    updates: Sequence[Update],
    pushed: Mapping[str, Node],
) -> int:
    """Moves branches, all or none; `updates` are sorted by name. Returns how many are new."""
    rows = await connection.fetch(Q.lock_branches, repository.id, [u.branch for u in updates])
    current = {row["name"]: row for row in rows}
    created = 0
    for update in updates:
        row = current.get(update.branch)
        at = row["head_commit"] if row else ""
        if at == update.new:
            continue
        if at != update.expected:
            raise head_moved(update.branch, update.expected, at)
        if row is None:
            arguments = (repository.id, update.branch, update.new, user_id)
            if await connection.fetchval(Q.create_branch, *arguments) is None:
                raise head_moved(update.branch, "", "unknown")
            created += 1
            continue
        is_forward = await ancestry.descends(connection, repository.id, pushed, update.new, at)
        _refuse_protected(row, repository, is_forward=is_forward)
        if not is_forward and not update.force:
            raise not_fast_forward(update.branch, at, update.new)
        await connection.execute(Q.move_branch, repository.id, update.branch, update.new)
    if created:
        await connection.execute(Q.count_branches, repository.id, created)
    return created


async def delete(
    connection: Connection, repository: RepositoryAccess, name: str, expected: str
) -> bool:
    """Removes a branch that is at `expected`; False if there is none of that name."""
    row = await connection.fetchrow(Q.lock_branches, repository.id, [name])
    if row is None:
        return False
    if row["head_commit"] != expected:
        raise head_moved(name, expected, row["head_commit"])
    _refuse_protected(row, repository, is_forward=False)
    await connection.execute(Q.delete_branch, repository.id, name)
    await connection.execute(Q.count_branches, repository.id, -1)
    return True


def _refuse_protected(row: Row, repository: RepositoryAccess, *, is_forward: bool) -> None:
    """A protected branch only moves forward; some only by the hand of an administrator."""
    if row["protection"] is None:
        return
    rule = None
    if not is_forward:
        rule = "forward_only"
    elif (
        json.loads(row["protection"]).get("push") == "admin"
        and repository.permission < Permission.ADMIN
    ):
        rule = "admins_only"
    if rule is not None:
        raise branch_protected(row["name"], rule)
