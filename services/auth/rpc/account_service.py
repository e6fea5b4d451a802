"""Accounts: registering and reading them."""

from __future__ import annotations

import re

import asyncpg
from dits.auth.v1 import account_service_pb2 as pb

from services.auth.credentials import passwords
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field, name_taken, not_found, permission_missing
from shared.records.audit import audit
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")
_STATUS = {
    "active": pb.USER_STATUS_ACTIVE,
    "pending_verification": pb.USER_STATUS_PENDING_VERIFICATION,
    "suspended": pb.USER_STATUS_SUSPENDED,
}


class AccountService:
    """The RPCs of dits.auth.v1.AccountService."""

    def __init__(
        self,
        database: Database,
        writes: IdempotentWrites,
        hasher: passwords.Hasher,
        *,
        is_open: bool,
    ) -> None:
        self._database = database
        self._writes = writes
        self._hasher = hasher
        self._is_open = is_open

    async def Register(self, request: pb.RegisterRequest, call: Call) -> pb.RegisterResponse:
        """Opens an account with a password."""
        if not self._is_open:
            raise permission_missing("open registration")
        _validate(request)
        phc = await self._hasher.hash(request.password)

        async def work(connection: Connection) -> pb.RegisterResponse:
            row = await _create(connection, request, phc)
            await audit(connection, call, "user.registered", "user", row["id"], row["username"])
            return pb.RegisterResponse(user=user_message(row))

        return await self._writes.once(call, Repeatable.of(request), pb.RegisterResponse, work)

    async def GetMe(self, request: pb.GetMeRequest, call: Call) -> pb.GetMeResponse:
        """The caller's own account."""
        del request
        row = await self._database.fetchrow(Q.user_by_id, call.caller.user_id)
        if row is None:
            raise not_found("user", str(call.caller.user_id))
        return pb.GetMeResponse(user=user_message(row))


def user_message(row: Row) -> pb.User:
    """A row of users as its owner sees it."""
    return pb.User(
        id=str(row["id"]),
        username=row["username"],
        email=row["email"],
        email_verified=row["email_verified"],
        name=row["name"],
        status=_STATUS[row["status"]],
        create_time=row["created_at"],
    )


def _validate(request: pb.RegisterRequest) -> None:
    """Holds a new account against the rules."""
    if request.request_id:
        validation.uuid("request_id", request.request_id)
    validation.username("username", request.username)
    validation.text("name", request.name, most=255)
    if len(request.email.encode()) > 254 or not _EMAIL.fullmatch(request.email):
        raise invalid_field("email", "must be an address of at most 254 bytes with one @")
    passwords.acceptable(request.password, request.username, request.email)


async def _create(connection: Connection, request: pb.RegisterRequest, phc: str) -> Row:
    """The rows of a new account."""
    try:
        row = await connection.fetchrow(
            Q.create_user, request.username, request.email, request.name or request.username
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "users_email_key":
            raise name_taken("email", request.email) from None
        raise name_taken("username", request.username) from None
    assert row is not None  # noqa: S101  RETURNING of an INSERT
    await connection.execute(
        Q.create_credentials, row["id"], phc, passwords.salt_of(phc), passwords.ALGORITHM
    )
    return row
