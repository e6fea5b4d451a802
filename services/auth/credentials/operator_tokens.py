"""API tokens of the operator: the only ones with the scope `site:admin`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import invalid_field, not_found
from shared.formats import credentials
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.rpc.policy import SCOPES, SITE_ADMIN

Q = sql.load(__file__)

LONGEST_DAYS = 366


async def create_operator_token(
    database: Database, username: str, name: str, days: int, scopes: Sequence[str] = ()
) -> str:
    """Creates a token of an account with `site:admin` and other scopes; returns its secret.

    Raises INVALID_FIELD, or NOT_FOUND if there is no such account, or it is not active.
    """
    username = validation.username("username", username)
    validation.text("name", name, least=1, most=255)
    if not 1 <= days <= LONGEST_DAYS:
        raise invalid_field("days", f"must be 1 to {LONGEST_DAYS}")
    for scope in scopes:
        if scope not in SCOPES:
            raise invalid_field("scope", f"{scope[:64]!r} is not a scope")
    given = sorted({SITE_ADMIN, *scopes})
    secret = credentials.mint(credentials.Kind.API_TOKEN)

    async def create(connection: Connection) -> str:
        query = Q.bind.create_operator_token(
            username=username.lower(),
            name=name,
            token_hash=credentials.token_hash(secret),
            scopes=given,
            life=timedelta(days=days),
        )
        row = await connection.fetchrow(*query)
        if row is None:
            raise not_found("user", username)
        await audit(
            connection, None, AuditAction.TOKEN_CREATED, "api_token", row["id"], name,
            scopes=given, owner=str(row["user_id"]),
        )  # fmt: skip
        return secret

    return await database.transaction(create)
