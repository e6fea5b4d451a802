"""RepositoryService: creating, finding, changing and deleting repositories."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from dits.repo.v1 import repository_service_pb2 as pb

from services.repo.repositories import reading
from services.repo.repositories.changes import RepositoryChange, set_disabled, update_repository
from services.repo.repositories.creation import NewRepository, create_repository
from services.repo.repositories.deletion import delete_repository, undelete_repository
from services.repo.repositories.messages import (
    MAX_DESCRIPTION,
    describe_repository,
    describe_settings,
)
from services.repo.repositories.owners import resolve_owner
from services.repo.repositories.settings import (
    get_settings,
    parse_settings_change,
    update_settings,
)
from services.repo.repositories.statistics import describe_statistics, read_statistics
from shared.db.pool import Connection, Database, Databases, Row
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey


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
        new = await asyncio.to_thread(NewRepository.parse, request, call, self._settings)

        async def work(connection: Connection) -> pb.CreateRepositoryResponse:
            repository_id = await create_repository(connection, call, new)
            row = await reading.get_repository(connection, repository_id, call.caller_id)
            return pb.CreateRepositoryResponse(repository=describe_repository(row, new.name))

        repeatable = Repeatable.of(request)
        return await self._writes.once(call, repeatable, pb.CreateRepositoryResponse, work)

    async def GetRepository(
        self, request: pb.GetRepositoryRequest, call: Call
    ) -> pb.GetRepositoryResponse:
        """Returns one repository."""
        async with self._databases.of(call.repository.id).connection() as connection:
            row = await reading.get_repository(connection, call.repository.id, call.caller_id)
        return pb.GetRepositoryResponse(repository=describe_repository(row, request.repository))

    async def ListRepositories(
        self, request: pb.ListRepositoriesRequest, call: Call
    ) -> pb.ListRepositoriesResponse:
        """Lists the repositories that the caller works with, or may see of one owner."""
        page = Page(self._key, request, call)
        async with self._database.connection() as connection:
            found = await _list_repositories(connection, request.owner, page, call)
        rows, token = page.answer(found, lambda row: (row["owner"].lower(), row["name"].lower()))
        return pb.ListRepositoriesResponse(
            repositories=map(describe_repository, rows), next_page_token=token
        )

    async def UpdateRepository(
        self, request: pb.UpdateRepositoryRequest, call: Call
    ) -> pb.UpdateRepositoryResponse:
        """Changes fields of a repository."""
        change = RepositoryChange.parse(request)

        async def update(connection: Connection) -> pb.Repository:
            await update_repository(connection, call, change)
            row = await reading.get_repository(connection, call.repository.id, call.caller_id)
            return describe_repository(row, request.repository)

        changed = await self._databases.of(call.repository.id).transaction(update)
        return pb.UpdateRepositoryResponse(repository=changed)

    async def DeleteRepository(
        self, request: pb.DeleteRepositoryRequest, call: Call
    ) -> pb.DeleteRepositoryResponse:
        """Deletes a repository; for a time it can be brought back."""

        async def delete(connection: Connection) -> pb.DeleteRepositoryResponse:
            end: Any = await delete_repository(
                connection, call, validate_only=request.validate_only
            )
            return pb.DeleteRepositoryResponse(
                repository_id=str(call.repository.id), purge_time=end
            )

        repeatable = Repeatable.of(request)
        return await self._writes.once(call, repeatable, pb.DeleteRepositoryResponse, delete)

    async def UndeleteRepository(
        self, request: pb.UndeleteRepositoryRequest, call: Call
    ) -> pb.UndeleteRepositoryResponse:
        """Brings a deleted repository back."""
        repository_id = validation.uuid("repository_id", request.repository_id)
        if request.name:
            validation.repository_name("name", request.name)

        async def undelete(connection: Connection) -> pb.Repository:
            await undelete_repository(connection, call, repository_id, request.name)
            row = await reading.get_repository(connection, repository_id, call.caller_id)
            return describe_repository(row, request.repository_id)

        back = await self._databases.of(repository_id).transaction(undelete)
        return pb.UndeleteRepositoryResponse(repository=back)

    async def ListDeletedRepositories(
        self, request: pb.ListDeletedRepositoriesRequest, call: Call
    ) -> pb.ListDeletedRepositoriesResponse:
        """Lists the repositories of an owner that can be brought back."""
        page = Page(self._key, request, call)
        name = request.owner or call.caller.username
        async with self._database.connection() as connection:
            owner = await resolve_owner(connection, name, call.caller)
            owner.require_admin()
            found = await reading.list_deleted(connection, owner, page.after, page.size + 1)
        rows, token = page.answer(found, _deletion_position)
        return pb.ListDeletedRepositoriesResponse(
            repositories=map(describe_repository, rows), next_page_token=token
        )

    async def GetRepositorySettings(
        self, request: pb.GetRepositorySettingsRequest, call: Call
    ) -> pb.GetRepositorySettingsResponse:
        """Returns the rules for pushes."""
        del request
        async with self._databases.of(call.repository.id).connection() as connection:
            row = await get_settings(connection, call.repository.id)
        return pb.GetRepositorySettingsResponse(settings=describe_settings(row))

    async def UpdateRepositorySettings(
        self, request: pb.UpdateRepositorySettingsRequest, call: Call
    ) -> pb.UpdateRepositorySettingsResponse:
        """Changes the rules for pushes."""
        rules = await asyncio.to_thread(parse_settings_change, request)

        async def update(connection: Connection) -> pb.RepositorySettings:
            return describe_settings(await update_settings(connection, call, rules))

        changed = await self._databases.of(call.repository.id).transaction(update)
        return pb.UpdateRepositorySettingsResponse(settings=changed)

    async def GetRepositoryStats(
        self, request: pb.GetRepositoryStatsRequest, call: Call
    ) -> pb.GetRepositoryStatsResponse:
        """Returns the statistics of a repository."""
        del request
        work = partial(read_statistics, repository_id=call.repository.id)
        row = await self._databases.of(call.repository.id).transaction(work)
        return describe_statistics(row)

    async def DisableRepository(
        self, request: pb.DisableRepositoryRequest, call: Call
    ) -> pb.DisableRepositoryResponse:
        """Makes a repository read-only, for the operator."""
        reason = validation.prose(
            "reason", request.reason, most_bytes=MAX_DESCRIPTION, required=True
        )
        await self._set_disabled(request.repository_id, call, reason)
        return pb.DisableRepositoryResponse()

    async def EnableRepository(
        self, request: pb.EnableRepositoryRequest, call: Call
    ) -> pb.EnableRepositoryResponse:
        """Ends what DisableRepository began."""
        await self._set_disabled(request.repository_id, call, None)
        return pb.EnableRepositoryResponse()

    async def _set_disabled(self, address: str, call: Call, reason: str | None) -> None:
        call.caller.require_site_admin()
        repository_id = validation.uuid("repository_id", address)

        async def change(connection: Connection) -> None:
            await set_disabled(connection, call, repository_id, reason)

        await self._databases.of(repository_id).transaction(change)


async def _list_repositories(
    connection: Connection, owner_name: str, page: Page, call: Call
) -> list[Row]:
    """Returns the rows of a page: of one owner, or with an empty name those that were granted."""
    caller, count = call.caller, page.size + 1
    if not owner_name:
        return await reading.list_granted(connection, caller, page.after, count)
    owner = await resolve_owner(connection, owner_name, caller)
    return await reading.list_of_owner(connection, owner, caller, page.after, count)


def _deletion_position(row: Row) -> tuple[str, str]:
    return row["deleted_at"].isoformat(), str(row["id"])
