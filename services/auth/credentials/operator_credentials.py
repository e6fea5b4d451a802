"""Sessions and API tokens of a user, as the operator lists and ends them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from dits.auth.v1.session_service_pb2 import Session
from dits.auth.v1.token_service_pb2 import ApiToken

from services.auth.credentials.api_tokens import describe_token, list_tokens, revoke_token
from services.auth.credentials.sessions import (
    describe_session,
    end_all_sessions,
    end_session,
    list_sessions,
)
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import not_found
from shared.rpc import validation

Q = sql.load(__file__)

# Of the tokens that are listed, the newest.
MOST_LISTED = 1_000
_NONE = UUID(int=0)


@dataclass(frozen=True, slots=True)
class HeldCredentials:
    """What a user can call with now."""

    sessions: Sequence[Session]
    tokens: Sequence[ApiToken]


async def list_credentials(database: Database, username: str) -> HeldCredentials:
    """Returns the live sessions and API tokens of a user. Raises INVALID_FIELD, NOT_FOUND."""
    async with database.connection() as connection:
        user_id = await _find_user(connection, username)
    sessions = await list_sessions(database, user_id, None, MOST_LISTED, include_ended=False)
    tokens = await list_tokens(database, user_id, None, MOST_LISTED)
    return HeldCredentials(
        [describe_session(row, _NONE) for row in sessions], [describe_token(row) for row in tokens]
    )


async def end_credentials(connection: Connection, username: str, ids: Sequence[str] | None) -> int:
    """Ends sessions and API tokens of a user, by their ids (None = all); returns how many were live.

    Raises INVALID_FIELD, or NOT_FOUND and ends none if one of the ids is of no credential of the user.
    """
    user_id = await _find_user(connection, username)
    if ids is None:
        ended = await end_all_sessions(connection, None, user_id)
        tokens = await connection.fetch(Q.live_tokens, user_id)
        for row in tokens:
            await revoke_token(connection, None, user_id, row["id"])
        return ended + len(tokens)
    asked = sorted({validation.uuid("id", each) for each in ids})
    kinds = {row["id"]: row for row in await connection.fetch(Q.kinds, user_id, asked)}
    for each in asked:
        if each not in kinds:
            raise not_found("session_or_token", str(each))
        end = end_session if kinds[each]["is_session"] else revoke_token
        await end(connection, None, user_id, each)
    return sum(row["is_live"] for row in kinds.values())


async def _find_user(connection: Connection, username: str) -> UUID:
    """Returns the id of a user. Raises INVALID_FIELD, NOT_FOUND."""
    name = validation.username("username", username)
    user_id: UUID | None = await connection.fetchval(Q.find_user, name.lower())
    if user_id is None:
        raise not_found("user", username)
    return user_id
