"""Steps 5 and 6 of the chain: who calls, and whether the RPC's policy lets the call in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any, cast

from google.protobuf.message import Message

from shared.errors import (
    DomainError,
    invalid_field,
    repository_read_only,
    unauthenticated,
    wrong_cell,
)
from shared.formats import credentials
from shared.rpc.call import AccessResolver, Call, RepositoryAccess
from shared.rpc.policy import Policy

# Open streams are checked again so that nothing outlives a revocation by more than five seconds.
CACHE_SECONDS = 5.0
STREAM_CHECK_SECONDS = 2.5


class Admission:
    """Lets the calls of one RPC in."""

    def __init__(self, resolver: AccessResolver, policy: Policy, cell: int | None) -> None:
        """`cell`: the only one whose repositories are let in; None = those of all cells."""
        self._resolver = resolver
        self._policy = policy
        self._cell = cell

    async def admit(self, call: Call, request: Message, max_age: float = CACHE_SECONDS) -> None:
        """Authenticates the caller and holds the call against its policy."""
        policy = self._policy
        if policy.quiet:
            return
        repository = self._repository(request)
        if call.token is None and not policy.anonymous:
            raise unauthenticated()
        if call.token is not None and not credentials.well_formed(call.token):
            raise unauthenticated()
        if call.token is None and not repository:
            return
        call.access = await self._resolver.resolve(call.token, repository, max_age)
        if call.access.caller is not None:
            call.access.caller.require_scope(policy.scope)
        if repository:
            self._require_repository(call.repository)

    def _require_repository(self, repository: RepositoryAccess) -> None:
        """Raises WRONG_CELL, PERMISSION_MISSING or REPOSITORY_READ_ONLY."""
        if self._cell is not None and repository.cell != self._cell:
            raise wrong_cell(repository.cell, self._cell)
        repository.require(self._policy.permission)
        if self._policy.mutates and repository.read_only:
            raise repository_read_only()

    @asynccontextmanager
    async def watched(self, call: Call, request: Message) -> AsyncIterator[None]:
        """Repeats the check while a stream is open; ends the stream with the error if it fails."""
        if self._policy.quiet:
            yield
            return
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        refused: list[DomainError] = []

        async def watch() -> None:
            while True:
                await asyncio.sleep(STREAM_CHECK_SECONDS)
                try:
                    await self.admit(call, request, max_age=STREAM_CHECK_SECONDS / 2)
                except DomainError as error:
                    refused.append(error)
                    task.cancel()
                    return

        watcher = asyncio.create_task(watch())
        try:
            yield
        except asyncio.CancelledError:
            if not refused:
                raise
            task.uncancel()
            raise refused[0] from None
        finally:
            watcher.cancel()

    def _repository(self, request: Message) -> str:
        """The repository that a request names."""
        field = self._policy.repository_field
        if not field:
            return ""
        name = str(attrgetter(field)(request))
        if not name:
            raise invalid_field(field, "must name a repository: a UUID or owner/name")
        return name
