"""Repositories that a transaction changes: their rows, locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.repo.repositories.owners import Owner, limit_right
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import not_found, permission_missing, repository_read_only
from shared.records.ownership import require_same_owner
from shared.rpc.call import Call, Caller
from shared.rpc.policy import Permission

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class HeldRepository:
    """A repository whose row is locked.

    Attributes:
        owner: with the caller's right on all that it owns.
        row: the columns.
    """

    id: UUID
    owner: Owner
    row: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name, without the owner."""
        return str(self.row["name"])

    def require_owner_right(self) -> None:
        """Raises PERMISSION_MISSING unless the caller has ADMIN on all repositories of the owner."""
        if self.owner.permission < Permission.ADMIN:
            required = f"ADMIN on all repositories of {self.owner.name}"
            raise permission_missing(required, Permission(self.owner.permission).name)

    def require_enabled(self) -> None:
        """Raises REPOSITORY_READ_ONLY if the operator has disabled it."""
        if self.row["disabled"]:
            raise repository_read_only()

    def require_writable(self) -> None:
        """Raises REPOSITORY_READ_ONLY if it is archived or disabled."""
        if self.row["archived"] or self.row["disabled"]:
            raise repository_read_only()


async def hold_repository(
    connection: Connection, repository_id: UUID, caller: Caller, *, alone: bool = False
) -> HeldRepository:
    """Locks a repository against other changes of it, and returns it. Raises NOT_FOUND.

    `alone` waits for pushes and uploads that are under way, too, and keeps new ones out.
    """
    lock = Q.lock_alone if alone else Q.lock
    await connection.execute(lock, repository_id)
    held = await _read_held(connection, repository_id, caller)
    if held is None or held.row["deleted_at"] is not None:
        raise not_found("repository", str(repository_id))
    return held


async def hold_repository_of(
    connection: Connection, call: Call, *, alone: bool = False
) -> HeldRepository:
    """Locks the repository of a call that was let in by its right on it: see `hold_repository`.

    Raises CONTENTION if that was judged under another owner.
    """
    held = await hold_repository(connection, call.repository.id, call.caller, alone=alone)
    await require_same_owner(connection, call, held.owner.type, held.owner.id, held.owner.name)
    return held


async def hold_deleted_repository(
    connection: Connection, repository_id: UUID, caller: Caller
) -> HeldRepository:
    """Locks a repository that is deleted, or not any more, and returns it.

    Raises NOT_FOUND, also if its time is over, or the caller has no right on all repositories of the owner.
    """
    await _get_deleted(connection, repository_id, caller)
    # Only who may bring it back gets here and makes others wait.
    await connection.execute(Q.lock_alone, repository_id)
    return await _get_deleted(connection, repository_id, caller)


async def _get_deleted(
    connection: Connection, repository_id: UUID, caller: Caller
) -> HeldRepository:
    held = await _read_held(connection, repository_id, caller)
    if held is None or held.row["is_lost"] or held.owner.permission < Permission.ADMIN:
        raise not_found("repository", str(repository_id))
    return held


async def _read_held(
    connection: Connection, repository_id: UUID, caller: Caller
) -> HeldRepository | None:
    row = await connection.fetchrow(Q.get_held, repository_id, caller.user_id)
    if row is None:
        return None
    permission = limit_right(caller, row["owner_id"], row["permission"])
    owner = Owner(row["owner_type"], row["owner_id"], row["owner"], row["cell"], permission)
    return HeldRepository(row["id"], owner, dict(row))
