"""Request ids: the same id with the same body takes effect once and gives the same result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import request_id_reused
from shared.rpc import validation
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

Response = TypeVar("Response", bound=Message)


class Repeatable(NamedTuple):
    """What makes two calls the same: the id that the client chose, and what it sent under it."""

    request_id: str
    body: bytes

    @classmethod
    def of(cls, request: Any) -> Repeatable:
        """Describes a unary request with a field `request_id`."""
        return cls(request.request_id, request.SerializeToString(deterministic=True))


class IdempotentWrites:
    """Transactions that take effect once for each request id."""

    def __init__(self, database: Database, key: ServerKey) -> None:
        self._database = database
        self._key = key

    async def once(
        self,
        call: Call,
        request: Repeatable,
        response_type: type[Response],
        work: Callable[[Connection], Awaitable[Response]],
    ) -> Response:
        """Runs `work` in a transaction, unless this request id has run before: see `once_in`.

        `work` may run several times (see Database.transaction), but takes effect once.
        """

        async def transaction(connection: Connection) -> Response:
            return await self.once_in(connection, call, request, response_type, work)

        return await self._database.transaction(transaction)

    async def once_in(
        self,
        connection: Connection,
        call: Call,
        request: Repeatable,
        response_type: type[Response],
        work: Callable[[Connection], Awaitable[Response]],
    ) -> Response:
        """Runs `work` in the caller's transaction, unless this request id has run before.

        The first result is kept sealed, because it may hold a secret, beside a keyed fingerprint of
        the body. Request ids are the session user's or the token's own: see `_subject`. A concurrent
        repetition waits for the first call's transaction. With an empty id, `work` just runs.
        Raises REQUEST_ID_REUSED if the body is another.
        """
        if not request.request_id:
            return await work(connection)
        identity = validation.uuid("request_id", request.request_id)
        subject = _subject(call)
        fingerprint = self._key.mac(b"request", request.body)
        row_key = (call.method, subject, identity)
        context = "\0".join((call.method, subject, str(identity))).encode()
        if await connection.fetchval(Q.claim, *row_key, fingerprint) is None:
            plain = await self._first_result(connection, row_key, request.body, context)
            return response_type.FromString(plain)
        response = await work(connection)
        sealed = self._key.seal(response.SerializeToString(), context)
        await connection.execute(Q.keep, *row_key, sealed)
        return response

    async def _first_result(
        self,
        connection: Connection,
        row_key: tuple[str, str, UUID],
        body: bytes,
        context: bytes,
    ) -> bytes:
        """The first result, if the body is the same."""
        row = await connection.fetchrow(Q.first_result, *row_key)
        is_same = row is not None and self._key.has_made(row["fingerprint"], b"request", body)
        sealed = row["response"] if row is not None and is_same else None
        plain = self._key.unseal(sealed, context) if sealed is not None else None
        if plain is None:
            raise request_id_reused()
        return plain


def _subject(call: Call) -> str:
    """Returns whose the request ids of a call are; empty for an anonymous call.

    A user's sessions share them, so that a repetition after a new login is one. A token has its own,
    because it must not get a result that was made for a credential that can do more.
    """
    caller = call.access.caller
    if caller is None:
        return ""
    return f"user {caller.user_id}" if caller.is_session else f"token {caller.credential_id}"
