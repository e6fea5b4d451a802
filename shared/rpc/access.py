"""Access checks of the services that are not auth: asked over gRPC, kept for five seconds.

The bound of five seconds is the promise. A NOTIFY from the database drops answers at once, as a hint:
where it does not arrive (a broken connection, a pooler in between) the bound still holds.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple
from uuid import UUID

import grpc
from dits.auth.v1 import access_service_pb2 as pb
from dits.auth.v1.access_service_pb2_grpc import AccessServiceStub

from shared.db.listen import Listener
from shared.errors import DomainError, unauthenticated
from shared.formats import credentials
from shared.rpc.call import Access, Caller, RepositoryAccess
from shared.rpc.peers import understand
from shared.rpc.policy import Permission
from shared.runtime import metrics

# Payload of a notification: the UUID of the user or repository whose answers are out of date, or that of an
# organisation after this word.
CHANNEL = "dits_access"
_ORGANIZATION = "organization "
CHECK_SECONDS = 5.0
MAX_ENTRIES = 20_000

# Token, repository, and whether the call was let in before: the answers differ.
_Key = tuple[str | None, str, bool]
_count_hit = metrics.ACCESS_CACHE.labels("hit").inc
_count_miss = metrics.ACCESS_CACHE.labels("miss").inc


class _Question(NamedTuple):
    """A question that is under way, and since when, by `time.monotonic()`."""

    task: asyncio.Task[Access]
    asked_at: float


class RemoteAccess:
    """Asks auth's AccessService with the caller's own credential, and keeps its answers."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = AccessServiceStub(channel)
        self._cache: OrderedDict[_Key, Access] = OrderedDict()
        self._asking: dict[_Key, _Question] = {}

    async def resolve(
        self,
        token: str | None,
        repository: str,
        max_age: float,
        address: str | None = None,
        *,
        is_open: bool = False,
    ) -> Access:
        """See AccessResolver. Refusals are not kept: a grant works at once. A typo asks nobody."""
        key = (token, repository, is_open)
        known = self._cache.get(key)
        if known is not None and known.age() < max_age:
            _count_hit()
            return known
        if token is not None and not credentials.well_formed(token):
            raise unauthenticated()
        _count_miss()
        return await self._share_question(key, address, max_age)

    async def _share_question(self, key: _Key, address: str | None, max_age: float) -> Access:
        """Returns the answer to a question that others may have asked already, if it is not too old."""
        now = time.monotonic()
        earliest = now - max_age
        while True:
            question = self._asking.get(key)
            if question is not None and question.asked_at < earliest:
                # All who wait for it share the next one.
                await asyncio.wait([question.task])
                continue
            question = question or self._begin_question(key, address)
            try:
                # A caller that gives up waiting does not end it for the others.
                return await asyncio.shield(question.task)
            except DomainError as error:
                if question.asked_at >= now or error.code is grpc.StatusCode.UNAVAILABLE:
                    raise
                # What it denies may have been given between the question and this call.
                earliest = now
            finally:
                # An error holds this frame, which would hold it: garbage with all of the request.
                del question

    def _begin_question(self, key: _Key, address: str | None) -> _Question:
        question = _Question(asyncio.create_task(self._ask(key, address)), time.monotonic())
        self._asking[key] = question
        question.task.add_done_callback(partial(self._asked, key))
        return question

    def _drop_answers(self, concerns: Callable[[Access], bool] | None = None) -> None:
        """Drops the answers that something concerns; all of them for None."""
        # An answer that is on its way may be from before the change.
        self._asking.clear()
        if concerns is None:
            self._cache.clear()
            return
        stale = [key for key, access in self._cache.items() if concerns(access)]
        for key in stale:
            del self._cache[key]

    def _asked(self, key: _Key, asking: asyncio.Task[Access]) -> None:
        """Remembers a good answer, if nothing changed while it was asked for."""
        question = self._asking.get(key)
        is_current = question is not None and question.task is asking
        if is_current:
            del self._asking[key]
        if asking.cancelled() or asking.exception() is not None or not is_current:
            return
        access = asking.result()
        self._remember(key, access)
        # Every answer tells the caller, too.
        if key[1] and access.caller is not None:
            self._remember((key[0], "", key[2]), Access(access.caller, None, access.as_of))

    def _remember(self, key: _Key, access: Access) -> None:
        self._cache[key] = access
        self._cache.move_to_end(key)
        if len(self._cache) > MAX_ENTRIES:
            self._cache.popitem(last=False)

    async def _ask(self, key: _Key, address: str | None) -> Access:
        token, repository, is_open = key
        # The age counts from before the question: the answer is at least as young.
        asked_at = time.monotonic()
        metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
        try:
            answer = await self._stub.CheckAccess(
                pb.CheckAccessRequest(
                    repository=repository, caller_address=address or "", is_open=is_open
                ),
                metadata=metadata,
                timeout=CHECK_SECONDS,
            )
        except grpc.aio.AioRpcError as error:
            raise understand(error, "auth") from None
        return _access(answer, asked_at)

    def listen(self, listener: Listener) -> None:
        """Drops answers as notifications come, and all of them where some may have been missed."""
        listener.subscribe(CHANNEL, self._notified)
        listener.subscribe_gaps(self._drop_answers)

    def _notified(self, payload: str) -> None:
        try:
            changed = UUID(payload.removeprefix(_ORGANIZATION))
        except ValueError:
            self._drop_answers()
            return
        is_organization = payload.startswith(_ORGANIZATION)
        self._drop_answers(partial(_obeys if is_organization else _concerns, changed))


def _concerns(changed: UUID, access: Access) -> bool:
    """Whether an answer speaks of a user or repository."""
    return (access.caller is not None and access.caller.user_id == changed) or (
        access.repository is not None and access.repository.id == changed
    )


def _obeys(changed: UUID, access: Access) -> bool:
    """Whether an answer may follow from the rules of an organisation.

    Each about a token does: it names those that refuse it.
    """
    return (access.caller is not None and not access.caller.is_session) or (
        access.repository is not None and access.repository.organization_id == changed
    )


# The answers about one token share the set.
@lru_cache(maxsize=1_000)
def _reach(repository_ids: tuple[str, ...]) -> frozenset[UUID] | None:
    return frozenset(map(UUID, repository_ids)) or None


def _access(answer: pb.CheckAccessResponse, asked_at: float) -> Access:
    """The answer as the chain wants it."""
    caller = repository = None
    if answer.HasField("caller"):
        who = answer.caller
        is_session = who.credential_type == pb.CREDENTIAL_TYPE_SESSION
        caller = Caller.of(
            UUID(who.user_id),
            who.username,
            UUID(who.credential_id),
            None if is_session else list(who.scopes),
            _reach(tuple(who.repository_ids)),
            who.sudo_left.ToNanoseconds() / 1e9,
            frozenset(map(UUID, who.refusing_organization_ids)),
        )
    if answer.HasField("repository"):
        found = answer.repository
        repository = RepositoryAccess(
            UUID(found.repository_id),
            found.owner,
            found.name,
            Permission(found.permission),
            found.read_only,
            found.cell,
            UUID(found.organization_id) if found.organization_id else None,
            Permission(found.withheld_permission),
        )
    return Access(caller, repository, asked_at)
