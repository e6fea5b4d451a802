"""What tests of the services share: a running suite with stubs, accounts, and errors to expect."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from dits.common.v1.error_reason_pb2 import ErrorReason
from dits.repo.v1.repository_service_pb2 import (
    CreateRepositoryRequest,
    Repository,
    RepositorySettings,
    Visibility,
)
from google.rpc import error_details_pb2, status_pb2

from services.suite import Suite
from shared.db.listen import Listener
from shared.formats import credentials
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from shared.server import Runtime
from tests.support.secrets import find_secret
from tests.support.stubs import Stubs

Metadata = tuple[tuple[str, str], ...]
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Account:
    """A user with a live session, or with an API token."""

    id: UUID
    username: str
    token: str

    @property
    def auth(self) -> Metadata:
        """Metadata that makes a call this account's."""
        return (("authorization", f"Bearer {self.token}"),)


class Api(Stubs):
    """A running suite and a stub per gRPC service."""

    def __init__(self, suite: Suite, dsn: str) -> None:
        self.suite = suite
        self.dsn = dsn
        self.addresses = suite.addresses
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channels = {
            name: grpc.aio.insecure_channel(address, options)
            for name, address in self.addresses.items()
        }
        super().__init__(self.channels)

    async def close(self) -> None:
        """Closes the channels."""
        for channel in self.channels.values():
            await channel.close()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A connection to the database that nobody else uses."""
        connection = await asyncpg.connect(self.dsn)
        try:
            yield connection
        finally:
            await connection.close()

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Rows, straight from the database."""
        async with self.connected() as connection:
            return list(await connection.fetch(query, *arguments))

    async def value(self, query: str, *arguments: Any) -> Any:
        """One value, straight from the database."""
        rows = await self.fetch(query, *arguments)
        return rows[0][0] if rows else None

    async def account(self, username: str = "") -> Account:
        """A new user with a session, as from a login of now; without the time of two Argon2 hashes."""
        username = username or f"user{next(_numbers)}"
        token = credentials.mint(credentials.Kind.SESSION)
        user_id = await self.value(
            """WITH u AS (
                   INSERT INTO users (username, email, name, status)
                   VALUES ($1, $1 || '@example.com', $1, 'active') RETURNING id
               ), s AS (
                   INSERT INTO sessions (user_id, token_hash, expires_at, sudo_until)
                   SELECT id, $2, now() + interval '1 day', now() + interval '10 minutes' FROM u
               )
               SELECT id FROM u""",
            username,
            credentials.token_hash(token),
        )
        return Account(user_id, username, token)

    async def session(self, account: Account, *, sudo: bool = True) -> Account:
        """The same user with another session."""
        token = credentials.mint(credentials.Kind.SESSION)
        await self.fetch(
            """INSERT INTO sessions (user_id, token_hash, expires_at, sudo_until)
               VALUES ($1, $2, now() + interval '1 day',
                       CASE WHEN $3 THEN now() + interval '10 minutes' END)""",
            account.id,
            credentials.token_hash(token),
            sudo,
        )
        return Account(account.id, account.username, token)

    async def api_token(
        self, owner: Account, *scopes: str, repositories: Sequence[UUID] | None = None
    ) -> Account:
        """The same user with an API token of these scopes."""
        token = credentials.mint(credentials.Kind.API_TOKEN)
        await self.fetch(
            """INSERT INTO api_tokens (user_id, name, token_hash, scopes, expires_at, repository_ids)
               VALUES ($1, 'test', $2, $3, now() + interval '1 day', $4)""",
            owner.id,
            credentials.token_hash(token),
            list(scopes),
            repositories,
        )
        return Account(owner.id, owner.username, token)

    async def repository(
        self,
        owner: Account,
        name: str = "",
        *,
        must_lock: bool = False,
        portable_names: bool = True,
        visibility: Visibility.ValueType = Visibility.VISIBILITY_PRIVATE,
    ) -> Repository:
        """A new repository of this account; by default files need no locks."""
        request = CreateRepositoryRequest(
            name=name or f"repo{next(_numbers)}",
            visibility=visibility,
            settings=RepositorySettings(
                require_lock_for_edit=must_lock, portable_names=portable_names
            ),
        )
        response = await self.repositories.CreateRepository(request, metadata=owner.auth)
        created: Repository = response.repository
        return created

    async def grant(self, repository: Repository, user: Account, permission: str) -> None:
        """Gives a user a right on a repository."""
        await self.fetch(
            """INSERT INTO repository_collaborators (repo_id, user_id, permission)
               VALUES ($1::uuid, $2, $3)
               ON CONFLICT (repo_id, user_id) DO UPDATE SET permission = excluded.permission""",
            repository.id,
            user.id,
            permission,
        )


async def start_suite(dsn: str, settings: Settings) -> Suite:
    """Starts the four services with these settings."""
    key = ServerKey.load(settings.server_key, settings.data_dir, settings.accepted_server_key)
    suite = Suite(Runtime(settings, dsn, key, Listener(dsn), strict=True))
    await suite.start()
    return suite


@asynccontextmanager
async def running_suite(dsn: str, settings: Settings) -> AsyncIterator[Api]:
    """Runs the four services with these settings."""
    suite = await start_suite(dsn, settings)
    running = Api(suite, dsn)
    try:
        yield running
    finally:
        await running.close()
        await suite.stop()


@dataclass(slots=True)
class Refusal:
    """What a refused call said."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    details: list[Any] = field(default_factory=list)
    request_id: str = ""

    def detail(self, kind: type[Any]) -> Any:
        """The typed detail of this kind."""
        for box in self.details:
            message = kind()
            if box.Unpack(message):
                return message
        raise AssertionError(f"no {kind.__name__} in {self.details}")


def read_error(error: grpc.aio.AioRpcError) -> Refusal:
    """The status and its details."""
    refusal = Refusal(error.code(), error.details() or "")
    assert find_secret(error.debug_error_string()) is None
    assert find_secret(error.trailing_metadata()) is None
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            status = status_pb2.Status.FromString(value)
            refusal.details = list(status.details)
            info = refusal.detail(error_details_pb2.ErrorInfo)
            assert info.domain == "dits"
            refusal.reason = info.reason.removeprefix("ERROR_REASON_")
            refusal.metadata = dict(info.metadata)
        if key == "x-request-id":
            refusal.request_id = str(value)
    return refusal


@contextmanager
def refused(code: grpc.StatusCode, reason: str) -> Iterator[Refusal]:
    """Expects a call to be refused with this code and ErrorReason (without its prefix)."""
    ErrorReason.Value(f"ERROR_REASON_{reason}")  # raises if there is no such reason
    refusal = Refusal()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield refusal
    told = read_error(caught.value)
    assert (told.code, told.reason) == (code, reason), told
    for name in Refusal.__slots__:
        setattr(refusal, name, getattr(told, name))
