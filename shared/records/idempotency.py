"""Request ids: the same id with the same body takes effect once and gives the same result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import asyncpg
import structlog
from google.protobuf.message import Message

from shared.db import sql
from shared.db.pool import UNREACHABLE, Connection, Database
from shared.errors import DomainError, request_id_reused
from shared.rpc import validation
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

log = structlog.get_logger(__name__)

EXPIRE_SECONDS = 3600.0

Response = TypeVar("Response", bound=Message)


async def once(
    connection: Connection,
    key: ServerKey,
    call: Call,
    request_id: str,
    body: bytes,
    response_type: type[Response],
    work: Callable[[], Awaitable[Response]],
) -> Response:
    """Runs `work` in the caller's transaction, unless this request id has run before.

    The first result is kept sealed, because it may hold a secret, beside a keyed fingerprint of the
    body. A concurrent repetition waits for the first call's transaction. An empty id just runs.
    """
    if not request_id:
        return await work()
    identity = validation.uuid("request_id", request_id)
    subject = str(call.caller_id or "")
    fingerprint = key.mac(b"request", body)
    row_key = (call.method, subject, identity)
    context = "\0".join((call.method, subject, str(identity))).encode()
    if await connection.fetchval(Q.claim, *row_key, fingerprint) is None:
        return await _replay(connection, key, row_key, fingerprint, context, response_type)
    response = await work()
    await connection.execute(Q.keep, *row_key, key.seal(response.SerializeToString(), context))
    return response


async def _replay(
    connection: Connection,
    key: ServerKey,
    row_key: tuple[str, str, UUID],
    fingerprint: bytes,
    context: bytes,
    response_type: type[Response],
) -> Response:
    """The first result, if the body is the same."""
    row = await connection.fetchrow(Q.first_result, *row_key)
    sealed = row["response"] if row and row["fingerprint"] == fingerprint else None
    plain = key.unseal(sealed, context) if sealed is not None else None
    if plain is None:
        raise request_id_reused()
    return response_type.FromString(plain)


async def expire(database: Database) -> None:
    """Forgets old request ids, every hour and for ever."""
    while True:
        await asyncio.sleep(EXPIRE_SECONDS)
        try:
            async with database.connection() as connection:
                await connection.execute(Q.expire)
        except (*UNREACHABLE, asyncpg.PostgresError, DomainError) as error:
            log.warning("old request ids stay for now", cause=type(error).__name__)
