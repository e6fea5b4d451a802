"""Request ids: the same id with the same body takes effect once and gives the same result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import DomainError, request_id_reused
from shared.rpc import validation
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

Response = TypeVar("Response", bound=Message)
# Method, subject and request id.
RowKey: TypeAlias = tuple[str, str, UUID]


class Repeatable(NamedTuple):
    """What makes two calls the same: the id that the client chose, and what it sent under it."""

    request_id: str
    body: bytes

    @classmethod
    def of(cls, request: Any) -> Repeatable:
        """Describes a unary request with a field `request_id`. Raises INVALID_FIELD."""
        if request.request_id:
            validation.uuid("request_id", request.request_id)
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
        row_key = _row_key(call, request)
        fingerprint = self._key.mac(b"request", request.body)
        if await connection.fetchval(Q.claim, *row_key, fingerprint) is None:
            row = await connection.fetchrow(Q.first_result, *row_key)
            return response_type.FromString(self._open_result(row, row_key, request.body))
        response = await work(connection)
        sealed = self._key.seal(response.SerializeToString(), _context(row_key))
        await connection.execute(Q.keep, *row_key, sealed)
        return response

    async def find_or_make(
        self,
        call: Call,
        request: Repeatable,
        response_type: type[Response],
        make: Callable[[], Awaitable[Response]],
    ) -> Response:
        """Returns the result of this request id, if there is one already, else what `make` returns.

        For calls that look, before `once`, at what may have changed since the first call. What `make`
        refuses may have changed after a first call that was still under way. Raises REQUEST_ID_REUSED.
        """
        found = await self._find_result(call, request, response_type)
        if found is not None:
            return found
        try:
            return await make()
        except DomainError:
            found = await self._find_result(call, request, response_type)
            if found is None:
                raise
            return found

    async def _find_result(
        self, call: Call, request: Repeatable, response_type: type[Response]
    ) -> Response | None:
        """Returns the result of this request id, if there is one already. Raises REQUEST_ID_REUSED."""
        if not request.request_id:
            return None
        row_key = _row_key(call, request)
        row = await self._database.fetchrow(Q.first_result, *row_key)
        if row is None:
            return None
        return response_type.FromString(self._open_result(row, row_key, request.body))

    def _open_result(self, row: Row | None, row_key: RowKey, body: bytes) -> bytes:
        """Returns the first result, if the body is the same. Raises REQUEST_ID_REUSED."""
        is_same = row is not None and self._key.has_made(row["fingerprint"], b"request", body)
        sealed = row["response"] if row is not None and is_same else None
        plain = self._key.unseal(sealed, _context(row_key)) if sealed is not None else None
        if plain is None:
            raise request_id_reused()
        return plain


def _row_key(call: Call, request: Repeatable) -> RowKey:
    """Returns what a result is kept under. Raises INVALID_FIELD."""
    return call.method, _subject(call), validation.uuid("request_id", request.request_id)


def _context(row_key: RowKey) -> bytes:
    """Returns what a kept result is bound to."""
    return "\0".join(map(str, row_key)).encode()


def _subject(call: Call) -> str:
    """Returns whose the request ids of a call are; empty for an anonymous call.

    A user's sessions share them, so that a repetition after a new login is one. A token has its own,
    because it must not get a result that was made for a credential that can do more.
    """
    caller = call.access.caller
    if caller is None:
        return ""
    return f"user {caller.user_id}" if caller.is_session else f"token {caller.credential_id}"
