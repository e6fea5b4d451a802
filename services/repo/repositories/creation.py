"""Creating a repository."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg
from dits.common.v1.event_pb2 import EventType, RepoPayload

from services.repo.repositories.owners import Owner, hold_owner, resolve_owner
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import name_taken, permission_missing, wrong_cell
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc.call import Call
from shared.rpc.policy import Permission

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class NewRepository:
    """A repository that is to be created.

    Attributes:
        owner: name of the user or organisation that will own it.
        cell: which one this server holds; the owner's must be the same.
        region: where its chunks are stored.
        must_lock: to change an existing file, one must hold a lock on it.
        max_file_bytes: 0 = any size.
        extensions: in lower case, sorted; None = all.
        portable_names: names must be possible on Windows and macOS too.
    """

    owner: str
    name: str
    description: str | None
    visibility: str
    default_branch: str
    cell: int
    region: str
    must_lock: bool
    max_file_bytes: int
    extensions: list[str] | None
    portable_names: bool


async def create_repository(connection: Connection, call: Call, new: NewRepository) -> UUID:
    """Creates a repository without a commit; returns its id.

    Raises NOT_FOUND, WRONG_CELL, PERMISSION_MISSING, NAME_TAKEN.
    """
    owner = await resolve_owner(connection, new.owner, call.caller.user_id)
    if owner.cell != new.cell:
        raise wrong_cell(owner.cell, new.cell)
    if owner.permission < Permission.ADMIN:
        raise permission_missing(Permission.ADMIN.name, Permission(owner.permission).name)
    await hold_owner(connection, owner)
    repository_id = await _insert_repository(connection, new, owner)
    await connection.execute(
        *Q.bind.insert_settings(
            repository_id=repository_id,
            must_lock=new.must_lock,
            max_file_bytes=new.max_file_bytes,
            extensions=new.extensions,
            portable_names=new.portable_names,
        )
    )
    await connection.execute(Q.insert_stats, repository_id)
    await audit(
        connection, call, AuditAction.REPOSITORY_CREATED, "repository", repository_id, new.name,
        repository_id=repository_id,
    )  # fmt: skip
    payload = RepoPayload(owner=owner.name, name=new.name)
    await emit(connection, call, EventType.EVENT_TYPE_REPO_CREATED, repository_id, payload)
    return repository_id


async def _insert_repository(connection: Connection, new: NewRepository, owner: Owner) -> UUID:
    try:
        created: UUID = await connection.fetchval(
            *Q.bind.insert_repository(
                name=new.name,
                description=new.description,
                owner_type=owner.type,
                owner_id=owner.id,
                visibility=new.visibility,
                default_branch=new.default_branch,
                region=new.region,
            )
        )
    except asyncpg.UniqueViolationError:
        raise name_taken("repository", new.name) from None
    return created
