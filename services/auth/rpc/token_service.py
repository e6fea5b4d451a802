"""API tokens of the caller."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from dits.auth.v1 import token_service_pb2 as pb

from services.auth.access.decisions import LocalAccess
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field, not_found
from shared.formats import credentials
from shared.records.audit import audit
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call, Caller
from shared.rpc.paging import Page
from shared.rpc.policy import SCOPES
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

DEFAULT_LIFE = timedelta(days=90)
LONGEST_LIFE = timedelta(days=366)
MAX_REPOSITORIES = 100
_UNMINTABLE = frozenset({"site:admin"})


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
        """Mints a token that can do no more than the calling credential."""
        validation.text("name", request.name, least=1, most=255)
        scopes = _scopes(list(request.scopes), call.caller)
        expires = _expiry(request)
        repositories = await self._repositories(list(request.repositories), call)

        async def work(connection: Connection) -> pb.CreateTokenResponse:
            secret = credentials.mint(credentials.Kind.API_TOKEN)
            row = await connection.fetchrow(
                Q.create_token,
                call.caller.user_id,
                request.name,
                credentials.token_hash(secret),
                scopes,
                expires,
                repositories,
            )
            assert row is not None  # noqa: S101  RETURNING of an INSERT
            await audit(
                connection, call, "token.created", "api_token", row["id"], row["name"],
                scopes=scopes,
            )  # fmt: skip
            return pb.CreateTokenResponse(token=_message(row), secret=secret)

        return await self._writes.once(call, Repeatable.of(request), pb.CreateTokenResponse, work)

    async def ListTokens(self, request: pb.ListTokensRequest, call: Call) -> pb.ListTokensResponse:
        """The caller's live tokens, newest first."""
        page = Page(self._key, request, call)
        after = page.after or (None, None)
        since = datetime.fromisoformat(after[0]) if after[0] else None
        found = await self._database.fetch(
            Q.list_tokens, call.caller.user_id, since, after[1], page.size + 1
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

        async def work(connection: Connection) -> None:
            row = await connection.fetchrow(Q.revoke_token, token_id, call.caller.user_id)
            if row is None:
                raise not_found("api_token", request.token_id)
            if row["ended_now"]:
                await audit(connection, call, "token.revoked", "api_token", token_id, row["name"])

        await self._database.transaction(work)
        return pb.RevokeTokenResponse()

    async def _repositories(self, names: list[str], call: Call) -> list[UUID] | None:
        """The ids of the repositories that a token is limited to; None = not limited.

        Made with a token that is limited itself, it reaches no others, and by default the same.
        """
        validation.count("repositories", names, MAX_REPOSITORIES, least=0)
        if not names and not call.caller.is_session:
            row = await self._database.fetchrow(Q.repositories_of, call.caller.credential_id)
            return row["repository_ids"] if row else None
        ids = set()
        for name in names:
            found = await self._access.resolve(call.token, name, 0)
            if found.repository is None:
                raise invalid_field("repositories", "must not contain an empty name")
            ids.add(found.repository.id)
        return sorted(ids) or None


def _scopes(asked: list[str], caller: Caller) -> list[str]:
    """The scopes of a new token, sorted, none broader than the caller's."""
    if not asked:
        raise invalid_field("scopes", "must name at least one scope")
    for scope in asked:
        if scope not in SCOPES or scope in _UNMINTABLE:
            raise invalid_field("scopes", f"{scope[:64]!r} is not a scope")
        caller.require_scope(scope)
    return sorted(set(asked))


def _expiry(request: pb.CreateTokenRequest) -> datetime:
    """When a new token ends."""
    now = datetime.now(UTC)
    if not request.HasField("expire_time"):
        return now + DEFAULT_LIFE
    try:
        asked = request.expire_time.ToDatetime(UTC)
    except ValueError:
        raise invalid_field("expire_time", "is not a time") from None
    if not now < asked <= now + LONGEST_LIFE:
        raise invalid_field("expire_time", "must be in the future and at most a year ahead")
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
