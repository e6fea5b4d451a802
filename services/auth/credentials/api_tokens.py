"""API tokens of an account: what a new one may do, and how one ends before its time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

from dits.auth.v1 import token_service_pb2 as pb

from services.auth.credentials.locked_accounts import lock_caller
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field, limit_reached, not_found, token_refused, unauthenticated
from shared.formats import credentials
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.rpc.call import Call, Caller, RepositoryAccess
from shared.rpc.policy import SCOPES, SITE_ADMIN

Q = sql.load(__file__)

DEFAULT_LIFE = timedelta(days=90)
LONGEST_LIFE = timedelta(days=366)
# How many tokens may stand above a token: each access check reads them all.
MAX_GENERATION = 7
# Of one account at a time: a token for each machine of a large studio's farm.
MAX_LIVE = 500
# Of the rules of an organisation, the one that a new token may still come to meet.
NEEDS_APPROVAL = "needs_approval"


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


async def find_parent(database: Database, caller: Caller) -> Parent | None:
    """Returns the token that calls; None for a session. Raises UNAUTHENTICATED if it is gone."""
    if caller.is_session:
        return None
    row = await database.fetchrow(Q.parent, caller.credential_id)
    if row is None:
        raise unauthenticated()
    return Parent(caller.credential_id, row["expires_at"], row["generation"])


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
        latest = parent.expires if parent is not None else None
        scopes = _parse_scopes(list(request.scopes), caller)
        return cls(parse_name(request.name), scopes, _parse_expiry(request, latest), parent)


def parse_name(name: str) -> str:
    """Returns the name of a token. Raises INVALID_FIELD."""
    return validation.text("name", name, least=1, most=255)


async def create_token(
    connection: Connection, call: Call, grant: TokenGrant, repositories: list[RepositoryAccess]
) -> pb.CreateTokenResponse:
    """Creates a token, limited to the repositories if there are any; returns it with its secret.

    Raises TOKEN_REFUSED if an organisation that owns one of them would never let it in, or LIMIT_REACHED.
    """
    await lock_caller(connection, call)
    if await connection.fetchval(Q.count_tokens, call.caller.user_id, MAX_LIVE) == MAX_LIVE:
        raise limit_reached("live API tokens", MAX_LIVE)
    secret = credentials.mint(credentials.Kind.API_TOKEN)
    row = await connection.fetchrow(
        *Q.bind.create_token(
            user_id=call.caller.user_id,
            name=grant.name,
            token_hash=credentials.token_hash(secret),
            scopes=grant.scopes,
            expires_at=grant.expires,
            repository_ids=sorted({each.id for each in repositories}) or None,
            parent_id=grant.parent.id if grant.parent else None,
            generation=grant.parent.generation + 1 if grant.parent else 0,
        )
    )
    assert row is not None  # noqa: S101  RETURNING of an INSERT
    await _require_entry(connection, row["id"], repositories)
    await audit(
        connection, call, AuditAction.TOKEN_CREATED, "api_token", row["id"], row["name"],
        scopes=grant.scopes,
    )  # fmt: skip
    return pb.CreateTokenResponse(token=describe_token(row), secret=secret)


async def _require_entry(
    connection: Connection, token_id: UUID, repositories: list[RepositoryAccess]
) -> None:
    """Raises TOKEN_REFUSED if an owner of the repositories has a rule that the token can never meet."""
    owners = {each.organization_id: each.owner for each in repositories if each.organization_id}
    for row in await connection.fetch(Q.refusals, token_id, list(owners)):
        if row["rule"] != NEEDS_APPROVAL:
            raise token_refused(owners[row["org_id"]], row["rule"])


async def list_tokens(
    database: Database, user_id: UUID, after: tuple[datetime, UUID] | None, count: int
) -> list[Row]:
    """Returns up to `count` live tokens of a user after a position, newest first."""
    created, token_id = after or (None, None)
    return await database.fetch(Q.list_tokens, user_id, created, token_id, count)


async def rename_token(
    connection: Connection, call: Call, token_id: UUID, name: str
) -> pb.ApiToken:
    """Gives a live token of the caller another name. Raises NOT_FOUND."""
    row = await connection.fetchrow(Q.rename_token, token_id, call.caller.user_id, name)
    if row is None:
        raise not_found("api_token", str(token_id))
    if row["former_name"] != name:
        await audit(
            connection, call, AuditAction.TOKEN_RENAMED, "api_token", token_id, name,
            former_name=row["former_name"],
        )  # fmt: skip
    return describe_token(row)


async def revoke_token(
    connection: Connection, call: Call | None, user_id: UUID, token_id: UUID
) -> None:
    """Ends a token of a user; one that has ended stays as it is. Raises NOT_FOUND."""
    row = await connection.fetchrow(Q.revoke_token, token_id, user_id)
    if row is None:
        raise not_found("api_token", str(token_id))
    if row["ended_now"]:
        details = {} if call is not None else {"owner": str(user_id)}
        await audit(
            connection, call, AuditAction.TOKEN_REVOKED, "api_token", token_id, row["name"],
            **details,  # type: ignore[arg-type]
        )  # fmt: skip


def describe_token(row: Row) -> pb.ApiToken:
    """Returns the message of a token."""
    return pb.ApiToken(
        id=str(row["id"]),
        name=row["name"],
        scopes=sorted(row["scopes"]),
        repository_ids=sorted(map(str, row["repository_ids"] or ())),
        create_time=row["created_at"],
        expire_time=row["expires_at"],
        last_use_time=row["last_used_at"],
        last_use_network=row["last_network"] or "",
        refusals=[pb.TokenRefusal(**each) for each in json.loads(row.get("refusals") or "[]")],
    )


def _parse_scopes(asked: list[str], caller: Caller) -> list[str]:
    """Returns the scopes of a new token, sorted. Raises SCOPE_MISSING if the caller lacks one."""
    if not asked:
        raise invalid_field("scopes", "must name at least one scope")
    for scope in asked:
        if scope not in SCOPES or scope == SITE_ADMIN:
            raise invalid_field("scopes", f"{scope[:64]!r} is not a scope")
        caller.require_scope(scope)
    return sorted(set(asked))


def _parse_expiry(request: pb.CreateTokenRequest, latest: datetime | None) -> datetime:
    """Returns when a new token ends, which is not after `latest`."""
    now = datetime.now(UTC)
    if not request.HasField("expire_time"):
        return min(now + DEFAULT_LIFE, latest or datetime.max.replace(tzinfo=UTC))
    try:
        asked = request.expire_time.ToDatetime(UTC)
    except ValueError:
        raise invalid_field("expire_time", "is not a time") from None
    if not now < asked <= now + LONGEST_LIFE:
        most = f"must be in the future and at most {LONGEST_LIFE.days} days ahead"
        raise invalid_field("expire_time", most)
    if latest is not None and asked > latest:
        raise invalid_field("expire_time", "must not be after the end of the calling token")
    return asked
