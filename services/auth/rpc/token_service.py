"""API tokens of the caller."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

from dits.auth.v1 import token_service_pb2 as pb

from services.auth.access.decisions import LocalAccess
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field, not_found, unauthenticated
from shared.formats import credentials
from shared.records.audit import AuditAction, audit
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call, Caller
from shared.rpc.paging import Page
from shared.rpc.policy import SCOPES, SITE_ADMIN
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

DEFAULT_LIFE = timedelta(days=90)
LONGEST_LIFE = timedelta(days=366)
MAX_REPOSITORIES = 100
# How many tokens may stand above a token: each access check reads them all.
MAX_GENERATION = 7


@dataclass(frozen=True, slots=True)
class Parent:
    """The token that makes a token, which ends with it.

    Attributes:
        expires: when it ends; None = never.
        generation: how many tokens stand above it.
    """

    id: UUID
    expires: datetime | None
    generation: int


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """What a new token may do.

    Attributes:
        name: what its owner calls it.
        scopes: sorted; none is broader than those of the calling credential.
        expires: when it ends, at the latest with its parent.
        parent: the calling token; None = a session.
    """

    name: str
    scopes: list[str]
    expires: datetime
    parent: Parent | None

    @classmethod
    def parse(cls, request: pb.CreateTokenRequest, caller: Caller, parent: Parent | None) -> Self:
        """Returns what a request asks for. Raises INVALID_FIELD or SCOPE_MISSING."""
        if parent is not None and parent.generation >= MAX_GENERATION:
            raise invalid_field(
                "authorization", f"a token with {MAX_GENERATION} tokens above it makes no others"
            )
        name = validation.text("name", request.name, least=1, most=255)
        latest = parent.expires if parent is not None else None
        return cls(name, _scopes(list(request.scopes), caller), _expiry(request, latest), parent)


class TokenService:
    """The RPCs of dits.auth.v1.TokenService."""

    def __init__(
        self, database: Database, writes: IdempotentWrites, key: ServerKey, access: LocalAccess
    ) -> None:
        self._database = database
        self._writes = writes
        self._key = key
        self._access = access

    async def CreateToken(
        self, request: pb.CreateTokenRequest, call: Call
    ) -> pb.CreateTokenResponse:
        """Creates a token that can do no more than the calling credential."""
        grant = TokenGrant.parse(request, call.caller, await self._parent(call.caller))
        repositories = await self._repositories(list(request.repositories), call)

        async def create(connection: Connection) -> pb.CreateTokenResponse:
            return await _create_token(connection, call, grant, repositories)

        return await self._writes.once(call, Repeatable.of(request), pb.CreateTokenResponse, create)

    async def ListTokens(self, request: pb.ListTokensRequest, call: Call) -> pb.ListTokensResponse:
        """Returns the caller's live tokens, newest first."""
        page = Page(self._key, request, call)
        created, last_id = page.after or (None, None)
        after = datetime.fromisoformat(created) if created else None
        found = await self._database.fetch(
            Q.list_tokens, call.caller.user_id, after, last_id, page.size + 1
        )
        rows, token = page.answer(found, _position)
        return pb.ListTokensResponse(tokens=map(_message, rows), next_page_token=token)

    async def RevokeToken(
        self, request: pb.RevokeTokenRequest, call: Call
    ) -> pb.RevokeTokenResponse:
        """Ends a token of the caller; a token may always end itself."""
        token_id = validation.uuid("token_id", request.token_id)
        if token_id != call.caller.credential_id:
            call.caller.require_scope("user:write")
            call.caller.require_unlimited()

        async def revoke(connection: Connection) -> None:
            row = await connection.fetchrow(Q.revoke_token, token_id, call.caller.user_id)
            if row is None:
                raise not_found("api_token", request.token_id)
            if row["ended_now"]:
                await audit(
                    connection, call, AuditAction.TOKEN_REVOKED, "api_token", token_id, row["name"]
                )

        await self._database.transaction(revoke)
        return pb.RevokeTokenResponse()

    async def _parent(self, caller: Caller) -> Parent | None:
        """Returns the token that calls; None for a session."""
        if caller.is_session:
            return None
        row = await self._database.fetchrow(Q.parent, caller.credential_id)
        if row is None:
            raise unauthenticated()
        return Parent(caller.credential_id, row["expires_at"], row["generation"])

    async def _repositories(self, names: list[str], call: Call) -> list[UUID] | None:
        """Returns the ids of the repositories that a token is limited to; None = not limited."""
        validation.count("repositories", names, MAX_REPOSITORIES, least=0)
        ids = set()
        for name in names:
            found = await self._access.resolve(call.token, name, 0)
            if found.repository is None:
                raise invalid_field("repositories", "must not contain an empty name")
            ids.add(found.repository.id)
        return sorted(ids) or None


async def _create_token(
    connection: Connection, call: Call, grant: TokenGrant, repositories: list[UUID] | None
) -> pb.CreateTokenResponse:
    """Inserts a token and returns it with its secret."""
    secret = credentials.mint(credentials.Kind.API_TOKEN)
    row = await connection.fetchrow(
        *Q.bind.create_token(
            user_id=call.caller.user_id,
            name=grant.name,
            token_hash=credentials.token_hash(secret),
            scopes=grant.scopes,
            expires_at=grant.expires,
            repository_ids=repositories,
            parent_id=grant.parent.id if grant.parent else None,
            generation=grant.parent.generation + 1 if grant.parent else 0,
        )
    )
    assert row is not None  # noqa: S101  RETURNING of an INSERT
    await audit(
        connection,
        call,
        AuditAction.TOKEN_CREATED,
        "api_token",
        row["id"],
        row["name"],
        scopes=grant.scopes,
    )
    return pb.CreateTokenResponse(token=_message(row), secret=secret)


def _scopes(asked: list[str], caller: Caller) -> list[str]:
    """Returns the scopes of a new token, sorted. Raises SCOPE_MISSING if the caller lacks one."""
    if not asked:
        raise invalid_field("scopes", "must name at least one scope")
    for scope in asked:
        if scope not in SCOPES or scope == SITE_ADMIN:
            raise invalid_field("scopes", f"{scope[:64]!r} is not a scope")
        caller.require_scope(scope)
    return sorted(set(asked))


def _expiry(request: pb.CreateTokenRequest, latest: datetime | None) -> datetime:
    """Returns when a new token ends, which is not after `latest`."""
    now = datetime.now(UTC)
    if not request.HasField("expire_time"):
        return min(now + DEFAULT_LIFE, latest or datetime.max.replace(tzinfo=UTC))
    try:
        asked = request.expire_time.ToDatetime(UTC)
    except ValueError:
        raise invalid_field("expire_time", "is not a time") from None
    if not now < asked <= now + LONGEST_LIFE:
        raise invalid_field("expire_time", "must be in the future and at most a year ahead")
    if latest is not None and asked > latest:
        raise invalid_field("expire_time", "must not be after the end of the calling token")
    return asked


def _position(row: Row) -> tuple[str, str]:
    return row["created_at"].isoformat(), str(row["id"])


def _message(row: Row) -> pb.ApiToken:
    return pb.ApiToken(
        id=str(row["id"]),
        name=row["name"],
        scopes=sorted(row["scopes"]),
        repository_ids=sorted(map(str, row["repository_ids"] or ())),
        create_time=row["created_at"],
        expire_time=row["expires_at"],
        last_use_time=row["last_used_at"],
    )
