"""Steps 5 and 6 of the chain: who calls, and whether the RPC's policy lets the call in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any, cast

from dits.common.v1 import access_pb2
from google.protobuf.message import Message
from grpc import StatusCode

from shared.errors import (
    DomainError,
    Reason,
    contention,
    dependency_unavailable,
    invalid_field,
    repository_read_only,
    unauthenticated,
    wrong_cell,
)
from shared.rpc import validation
from shared.rpc.call import Access, AccessResolver, Call, RepositoryAccess
from shared.rpc.policy import Policy

# An open stream outlives a revocation by at most so many seconds, whether auth answers or not.
REVOCATION_SECONDS = 5.0
# How old the answer may be that lets a call in, and the one that lets a stream go on.
CACHE_SECONDS = 5.0
ANSWER_SECONDS = 1.0
CHECK_SECONDS = 2.0
RETRY_SECONDS = 0.25


class Admission:
    """Lets the calls of one RPC in."""

    def __init__(self, resolver: AccessResolver, policy: Policy, cell: int | None) -> None:
        """`cell`: the only one whose repositories are let in; None = those of all cells."""
        self._resolver = resolver
        self._policy = policy
        self._cell = cell

    async def identify(self, call: Call) -> None:
        """Finds out who calls, from the metadata alone. Raises UNAUTHENTICATED or SCOPE_MISSING."""
        policy = self._policy
        if policy.quiet:
            return
        if call.token is None:
            if policy.anonymous:
                return
            raise unauthenticated()
        call.access = await self._resolver.resolve(call.token, "", CACHE_SECONDS, call.peer_ip)
        call.caller.require_scope(policy.scope)

    async def admit(
        self,
        call: Call,
        request: Message,
        max_age: float = CACHE_SECONDS,
        *,
        is_open: bool = False,
    ) -> None:
        """Holds an identified call against the policy, on the repository that its request names.

        Nothing that it judges by is older than `max_age` seconds. `is_open`: it was let in before. What may
        repeat the call that took the right is let in without the repository: see `Call.refusal`.
        """
        try:
            await self._admit(call, request, max_age, is_open=is_open)
        except DomainError as error:
            if not self._may_repeat(call, request, error):
                raise
            call.access = Access(call.caller, None, call.access.as_of)
            call.refusal = error

    def _may_repeat(self, call: Call, request: Message, error: DomainError) -> bool:
        """Whether a call that was refused may have taken the right itself, the first time."""
        if not self._policy.ends_access or call.access.caller is None:
            return False
        is_right_missing = error.reason in (
            Reason.ERROR_REASON_NOT_FOUND,
            Reason.ERROR_REASON_PERMISSION_MISSING,
        )
        return is_right_missing and bool(attrgetter("request_id")(request))

    async def _admit(self, call: Call, request: Message, max_age: float, *, is_open: bool) -> None:
        policy = self._policy
        if policy.quiet or (call.token is None and not policy.repository_field):
            return
        repository = self._repository(request)
        if is_open and call.access.repository is not None:
            # Its address may have become another's. The call stays with the repository that it began with.
            repository = str(call.access.repository.id)
        if repository:
            validation.repository_address(policy.repository_field, repository)
        # Without a repository, `identify` has asked this very question, as a rule a moment ago.
        if repository or is_open or call.access.caller is None or call.access.age() >= max_age:
            call.access = await self._resolver.resolve(
                call.token, repository, max_age, call.peer_ip, is_open=is_open
            )
        if call.access.caller is not None:
            call.access.caller.require_scope(policy.scope)
        if repository:
            await self._require_repository(call, repository)
        elif call.access.caller is None:
            raise unauthenticated()
        elif not policy.limited_tokens:
            call.access.caller.require_unlimited()

    async def require_sudo(self, call: Call, request: Message) -> None:
        """Raises SUDO_REQUIRED if the request, which was let in, needs sudo and the caller has none.

        A kept answer may be from before the caller's proof: then it is asked for again.
        """
        policy = self._policy
        if policy.sudo == access_pb2.SUDO_UNSPECIFIED or call.has_sudo:
            return
        if policy.sudo == access_pb2.SUDO_SESSIONS and not call.caller.is_session:
            return
        if policy.sudo_field and not attrgetter(policy.sudo_field)(request):
            return
        if call.access.as_of < call.begun:
            await self.admit(call, request, 0.0)
        if policy.sudo != access_pb2.SUDO_CONDITIONAL:
            call.require_sudo()

    async def _require_repository(self, call: Call, address: str) -> None:
        """Raises WRONG_CELL, PERMISSION_MISSING or REPOSITORY_READ_ONLY, and none from memory."""
        try:
            self._judge_repository(call.repository)
        except DomainError:
            # What was given a moment ago works at once.
            call.access = await self._resolver.resolve(call.token, address, 0.0)
            self._judge_repository(call.repository)

    def _judge_repository(self, repository: RepositoryAccess) -> None:
        if self._cell is not None and repository.cell != self._cell:
            raise wrong_cell(repository.cell, self._cell)
        repository.require(self._policy.permission)
        if self._policy.mutates and repository.read_only:
            raise repository_read_only()

    async def find_successor(self, call: Call, request: Message, error: DomainError) -> bool:
        """Whether the name of a repository that the handler does not find leads to another one by now.

        A kept answer may be from before that. The call then has the other. Raises what refuses it there.
        """
        kept = call.access
        if kept.repository is None or kept.as_of >= call.begun or not error.denies("repository"):
            return False
        await self.admit(call, request, 0.0)
        found = call.access.repository
        return found is not None and found.id != kept.repository.id

    @asynccontextmanager
    async def watched(self, call: Call, request: Message) -> AsyncIterator[None]:
        """Repeats the check while a stream is open; ends the stream with the error if it fails.

        Raises CONTENTION where `find_successor` finds one: what was sent, the caller sends again.
        """
        if self._policy.quiet:
            yield
            return
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        refused: list[DomainError] = []

        async def watch() -> None:
            refused.append(await self._wait_for_refusal(call, request))
            task.cancel()

        watcher = asyncio.create_task(watch())
        try:
            yield
        except DomainError as error:
            if not await self.find_successor(call, request, error):
                raise
            raise contention(
                "the name has just gone to another repository: repeat the call"
            ) from None
        except asyncio.CancelledError:
            if not refused:
                raise
            task.uncancel()
            raise refused[0] from None
        finally:
            watcher.cancel()

    async def _wait_for_refusal(self, call: Call, request: Message) -> DomainError:
        """Returns why a stream must end.

        A right that is gone ends it at the next check. An auth service that does not answer ends it when
        the last good answer is REVOCATION_SECONDS old: a restart of auth is shorter than that.
        """
        while True:
            await asyncio.sleep(max(0.0, CHECK_SECONDS - call.access.age()))
            try:
                left = REVOCATION_SECONDS - call.access.age()
                async with asyncio.timeout(max(left, RETRY_SECONDS)):
                    await self.admit(call, request, ANSWER_SECONDS, is_open=True)
            except TimeoutError:
                return dependency_unavailable("auth")
            except DomainError as error:
                if error.code is not StatusCode.UNAVAILABLE:
                    return error
                if call.access.age() >= REVOCATION_SECONDS:
                    return error
                await asyncio.sleep(RETRY_SECONDS)

    def _repository(self, request: Message) -> str:
        """The repository that a request names; empty if it names an organisation, or need not name any."""
        field, instead = self._policy.repository_field, self._policy.organization_field
        if not field:
            return ""
        name = str(attrgetter(field)(request))
        if instead and attrgetter(instead)(request):
            if name:
                raise invalid_field(instead, f"must not be set together with {field}")
            return ""
        if not name and not self._policy.repository_optional:
            raise invalid_field(field, "must name a repository: a UUID or owner/name")
        return name
