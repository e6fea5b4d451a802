"""RepositoryService: creating and finding repositories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dits.repo.v1 import repository_service_pb2 as pb

from services.repo.repositories.creation import NewRepository, create_repository
from services.repo.repositories.owners import resolve_owner
from shared.db import sql
from shared.db.pool import Connection, Database, Databases, Row
from shared.errors import invalid_field, not_found
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
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
    """The RPCs of dits.repo.v1.RepositoryService.

    `database` is where repositories are created and listed; `databases` holds them.
    """

    def __init__(
        self,
        database: Database,
        databases: Databases,
        writes: IdempotentWrites,
        key: ServerKey,
        settings: Settings,
    ) -> None:
        self._database = database
        self._databases = databases
        self._writes = writes
        self._key = key
        self._settings = settings

    async def CreateRepository(
        self, request: pb.CreateRepositoryRequest, call: Call
    ) -> pb.CreateRepositoryResponse:
        """Creates an empty repository."""
        new = _parse(request, call, self._settings)

        async def work(connection: Connection) -> pb.CreateRepositoryResponse:
            repository_id = await create_repository(connection, call, new)
            row = await connection.fetchrow(Q.get_repository, repository_id, call.caller_id)
            return pb.CreateRepositoryResponse(repository=_message(row, new.name))

        repeatable = Repeatable.of(request)
        return await self._writes.once(call, repeatable, pb.CreateRepositoryResponse, work)

    async def GetRepository(
        self, request: pb.GetRepositoryRequest, call: Call
    ) -> pb.GetRepositoryResponse:
        """Returns one repository."""
        database = self._databases.of(call.repository.id)
        row = await database.fetchrow(Q.get_repository, call.repository.id, call.caller_id)
        return pb.GetRepositoryResponse(repository=_message(row, request.repository))

    async def ListRepositories(
        self, request: pb.ListRepositoriesRequest, call: Call
    ) -> pb.ListRepositoriesResponse:
        """Lists the repositories that the caller works with, or may see of one owner."""
        page = Page(self._key, request, call)
        async with self._database.connection() as connection:
            found = await _find_repositories(connection, request.owner, page, call)
        rows, token = page.answer(found, lambda row: (row["owner"].lower(), row["name"].lower()))
        return pb.ListRepositoriesResponse(repositories=map(_message, rows), next_page_token=token)


async def _find_repositories(
    connection: Connection, owner_name: str, page: Page, call: Call
) -> list[Row]:
    """Returns the rows of a page: of one owner, or with an empty name those that were granted.

    A token that is limited to repositories finds only those.
    """
    user_id, reach = call.caller.user_id, call.caller.reach
    after = page.after or [None, None]
    if not owner_name:
        return await connection.fetch(
            *Q.bind.list_granted(
                user_id=user_id,
                after_owner=after[0],
                after=after[1],
                reach=reach,
                count=page.size + 1,
            )
        )
    owner = await resolve_owner(connection, owner_name, user_id)
    return await connection.fetch(
        *Q.bind.list_of_owner(
            user_id=user_id,
            owner_type=owner.type,
            owner_id=owner.id,
            after=after[1],
            reach=reach,
            count=page.size + 1,
        )
    )


def _parse(request: pb.CreateRepositoryRequest, call: Call, server: Settings) -> NewRepository:
    if request.request_id:
        validation.uuid("request_id", request.request_id)
    validation.repository_name("name", request.name)
    validation.prose("description", request.description, most_bytes=MAX_DESCRIPTION)
    if request.visibility not in _VISIBILITIES:
        raise invalid_field("visibility", "is not a known value")
    if request.default_branch:
        validation.branch("default_branch", request.default_branch)
    settings = request.settings
    if settings.max_file_size_bytes < 0:
        raise invalid_field("settings.max_file_size_bytes", "must not be negative")
    return NewRepository(
        owner=request.owner or call.caller.username,
        name=request.name,
        description=request.description or None,
        visibility=_VISIBILITIES[request.visibility],
        default_branch=request.default_branch or "main",
        cell=server.cell,
        region=server.region,
        must_lock=settings.require_lock_for_edit or not settings.HasField("require_lock_for_edit"),
        max_file_bytes=settings.max_file_size_bytes,
        extensions=_parse_extensions(settings.allowed_extensions),
        portable_names=settings.portable_names or not settings.HasField("portable_names"),
    )


def _parse_extensions(extensions: Sequence[str]) -> list[str] | None:
    field = "settings.allowed_extensions"
    validation.count(field, extensions, MAX_EXTENSIONS, least=0)
    for extension in extensions:
        validation.text(field, extension, least=1, most=32)
        if extension.startswith(".") or "/" in extension:
            raise invalid_field(field, "are written without dot and slash")
    return sorted({extension.lower() for extension in extensions}) or None


def _message(row: Row | None, address: str = "") -> pb.Repository:
    """Returns a repository as a message. Raises NOT_FOUND for this address without a row."""
    if row is None:
        raise not_found("repository", address)
    settings = pb.RepositorySettings(
        require_lock_for_edit=row["require_lock_for_edit"],
        max_file_size_bytes=row["max_file_size_bytes"] or 0,
        allowed_extensions=row["allowed_extensions"] or (),
        portable_names=row["portable_names"],
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
