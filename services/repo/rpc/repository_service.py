"""Repositories: creating and finding them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
from dits.repo.v1 import repository_service_pb2 as pb

from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field, name_taken, not_found, permission_missing
from shared.records.audit import AuditAction, audit
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.rpc.policy import Permission
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

MAX_DESCRIPTION = 4096
MAX_EXTENSIONS = 100
_VISIBILITIES = {
    pb.VISIBILITY_UNSPECIFIED: "private",
    pb.VISIBILITY_PRIVATE: "private",
    pb.VISIBILITY_INTERNAL: "internal",
    pb.VISIBILITY_PUBLIC: "public",
}
_VISIBILITY_NUMBERS = {text: number for number, text in _VISIBILITIES.items()}


class RepositoryService:
    """The RPCs of dits.repo.v1.RepositoryService."""

    def __init__(
        self, database: Database, writes: IdempotentWrites, key: ServerKey, settings: Settings
    ) -> None:
        self._database = database
        self._writes = writes
        self._key = key
        self._settings = settings

    async def CreateRepository(
        self, request: pb.CreateRepositoryRequest, call: Call
    ) -> pb.CreateRepositoryResponse:
        """Creates an empty repository."""
        _validate(request)

        async def work(connection: Connection) -> pb.CreateRepositoryResponse:
            return await self._create(connection, request, call)

        repeatable = Repeatable.of(request)
        return await self._writes.once(call, repeatable, pb.CreateRepositoryResponse, work)

    async def GetRepository(
        self, request: pb.GetRepositoryRequest, call: Call
    ) -> pb.GetRepositoryResponse:
        """One repository."""
        row = await self._database.fetchrow(Q.get_repository, call.repository.id, call.caller_id)
        if row is None:
            raise not_found("repository", request.repository)
        return pb.GetRepositoryResponse(repository=_message(row))

    async def ListRepositories(
        self, request: pb.ListRepositoriesRequest, call: Call
    ) -> pb.ListRepositoriesResponse:
        """The repositories that the caller works with, or sees of one owner."""
        page = Page(self._key, request, call)
        after = page.after or [None, None]
        user_id = call.caller.user_id
        async with self._database.connection() as connection:
            if request.owner:
                owner = await _owner(connection, request.owner, user_id)
                found = await connection.fetch(
                    *Q.bind.list_of_owner(
                        user_id=user_id,
                        owner_type=owner[0],
                        owner_id=owner[1],
                        after=after[1],
                        count=page.size + 1,
                    )
                )
            else:
                found = await connection.fetch(Q.list_granted, user_id, *after, page.size + 1)
            reach = None
            if not call.caller.is_session:
                reach = await connection.fetchval(Q.token_reach, call.caller.credential_id)
        rows, token = page.answer(found, _position)
        shown = [_message(row) for row in rows if reach is None or row["id"] in reach]
        return pb.ListRepositoriesResponse(repositories=shown, next_page_token=token)

    async def _create(
        self, connection: Connection, request: pb.CreateRepositoryRequest, call: Call
    ) -> pb.CreateRepositoryResponse:
        """The rows of a new repository."""
        caller = call.caller
        owner_type, owner_id, owner_permission = await _owner(
            connection, request.owner or caller.username, caller.user_id
        )
        if owner_permission < Permission.ADMIN:
            raise permission_missing("to create repositories there")
        repo_id = await self._insert(connection, request, owner_type, owner_id)
        settings = request.settings
        must_lock = settings.require_lock_for_edit or not settings.HasField("require_lock_for_edit")
        extensions = sorted({e.lower() for e in settings.allowed_extensions}) or None
        await connection.execute(
            Q.create_settings, repo_id, must_lock, settings.max_file_size_bytes, extensions
        )
        await connection.execute(Q.create_stats, repo_id)
        await audit(
            connection, call, AuditAction.REPOSITORY_CREATED, "repository", repo_id, request.name
        )
        row = await connection.fetchrow(Q.get_repository, repo_id, caller.user_id)
        assert row is not None  # noqa: S101  inserted above
        return pb.CreateRepositoryResponse(repository=_message(row))

    async def _insert(
        self,
        connection: Connection,
        request: pb.CreateRepositoryRequest,
        owner_type: str,
        owner_id: UUID,
    ) -> UUID:
        try:
            created: UUID = await connection.fetchval(
                *Q.bind.create_repository(
                    name=request.name,
                    description=request.description or None,
                    owner_type=owner_type,
                    owner_id=owner_id,
                    visibility=_VISIBILITIES[request.visibility],
                    default_branch=request.default_branch or "main",
                    storage_bucket=self._settings.region,
                    storage_region=self._settings.region,
                )
            )
        except asyncpg.UniqueViolationError:
            raise name_taken("repository", request.name) from None
        return created


async def _owner(connection: Connection, name: str, user_id: UUID) -> tuple[str, UUID, int]:
    """Kind and id of an owner, and what the user may do to what it owns."""
    row = await connection.fetchrow(Q.owner, name.lower(), user_id)
    if row is None:
        raise not_found("owner", name)
    return row["owner_type"], row["owner_id"], row["permission"]


def _validate(request: pb.CreateRepositoryRequest) -> None:
    """Holds a new repository against the rules."""
    if request.request_id:
        validation.uuid("request_id", request.request_id)
    if request.owner:
        validation.text("owner", request.owner, most=39)
    validation.repository_name("name", request.name)
    if len(request.description.encode()) > MAX_DESCRIPTION or "\0" in request.description:
        raise invalid_field("description", f"must have at most {MAX_DESCRIPTION} bytes and no NUL")
    if request.visibility not in _VISIBILITIES:
        raise invalid_field("visibility", "is not a known value")
    if request.default_branch:
        validation.branch("default_branch", request.default_branch)
    settings = request.settings
    if settings.max_file_size_bytes < 0:
        raise invalid_field("settings.max_file_size_bytes", "must not be negative")
    validation.count(
        "settings.allowed_extensions", settings.allowed_extensions, MAX_EXTENSIONS, least=0
    )
    for extension in settings.allowed_extensions:
        validation.text("settings.allowed_extensions", extension, least=1, most=32)
        if extension.startswith(".") or "/" in extension:
            raise invalid_field("settings.allowed_extensions", "are written without dot and slash")


def _position(row: Row) -> tuple[str, str]:
    return row["owner"].lower(), row["name"].lower()


def _message(row: Row) -> pb.Repository:
    settings = pb.RepositorySettings(
        require_lock_for_edit=row["require_lock_for_edit"],
        max_file_size_bytes=row["max_file_size_bytes"] or 0,
        allowed_extensions=row["allowed_extensions"] or (),
    )
    permission: Any = row["permission"]
    return pb.Repository(
        id=str(row["id"]),
        owner=row["owner"],
        name=row["name"],
        description=row["description"] or "",
        visibility=_VISIBILITY_NUMBERS[row["visibility"]],
        default_branch=row["default_branch"],
        archived=row["archived"],
        settings=settings,
        permission=permission,
        create_time=row["created_at"],
        update_time=row["updated_at"],
        push_time=row["pushed_at"],
    )
