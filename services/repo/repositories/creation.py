"""Creating a repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from dits.common.v1.event_pb2 import EventType, RepoPayload
from dits.repo.v1 import repository_service_pb2 as pb

from services.repo.repositories.messages import (
    parse_default_branch,
    parse_description,
    parse_visibility,
)
from services.repo.repositories.names import refuse_name
from services.repo.repositories.owners import Owner, hold_owner, resolve_owner
from services.repo.repositories.settings import insert_settings, parse_settings
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import wrong_cell
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc import validation
from shared.rpc.call import Call
from shared.runtime.config import Settings

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class NewRepository:
    """A repository that is to be created.

    Attributes:
        owner: name of the user or organisation that will own it.
        cell: which one this server holds; the owner's must be the same.
        region: of the server that creates it.
        settings: the rules for pushes, by column.
    """

    owner: str
    name: str
    description: str | None
    visibility: str
    default_branch: str
    cell: int
    region: str
    settings: Mapping[str, Any]

    @classmethod
    def parse(
        cls, request: pb.CreateRepositoryRequest, call: Call, server: Settings
    ) -> NewRepository:
        """Returns what a request asks for. Raises INVALID_FIELD, BATCH_TOO_LARGE."""
        if request.request_id:
            validation.uuid("request_id", request.request_id)
        if request.default_branch:
            parse_default_branch("default_branch", request.default_branch)
        return cls(
            owner=request.owner or call.caller.username,
            name=validation.repository_name("name", request.name),
            description=parse_description("description", request.description) or None,
            visibility=parse_visibility("visibility", request.visibility),
            default_branch=request.default_branch or "main",
            cell=server.cell,
            region=server.region,
            settings=parse_settings(request.settings),
        )


async def create_repository(connection: Connection, call: Call, new: NewRepository) -> UUID:
    """Creates a repository without a commit; returns its id.

    Raises NOT_FOUND, WRONG_CELL, PERMISSION_MISSING, NAME_TAKEN.
    """
    owner = await resolve_owner(connection, new.owner, call.caller)
    if owner.cell != new.cell:
        raise wrong_cell(owner.cell, new.cell)
    owner.require_admin()
    await hold_owner(connection, owner)
    repository_id = await _insert_repository(connection, new, owner)
    await insert_settings(connection, repository_id, new.settings)
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
    except asyncpg.UniqueViolationError as error:
        raise refuse_name(new.name, error) from None
    return created
