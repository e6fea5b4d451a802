"""Accounts: creating and reading them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import asyncpg
from dits.auth.v1 import account_service_pb2 as pb

from services.auth.credentials import passwords, throttles
from services.auth.credentials.logins import fold_login, parse_email
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import DomainError, name_taken, not_found, permission_missing
from shared.records.audit import AuditAction, audit
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

_STATUS = {
    "active": pb.USER_STATUS_ACTIVE,
    "pending_verification": pb.USER_STATUS_PENDING_VERIFICATION,
    "suspended": pb.USER_STATUS_SUSPENDED,
}


@dataclass(frozen=True, slots=True)
class Registration:
    """A new account that obeys the rules.

    Attributes:
        name: to show to people; the username unless the request says otherwise.
    """

    username: str
    email: str
    password: str = field(repr=False)
    name: str

    @classmethod
    def parse(cls, request: pb.RegisterRequest) -> Self:
        """Returns the account that a request describes. Raises INVALID_FIELD."""
        if request.request_id:
            validation.uuid("request_id", request.request_id)
        username = validation.username("username", request.username)
        name = validation.text("name", request.name, most=255) or username
        email = parse_email("email", request.email)
        password = passwords.require_strong(request.password, username, email)
        return cls(username, email, password, name)


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
        """`hasher`: not that of logins, which do not wait for registrations.

        `is_open`: everyone may create an account.
        """
        self._database = database
        self._writes = writes
        self._hasher = hasher
        self._is_open = is_open

    async def Register(self, request: pb.RegisterRequest, call: Call) -> pb.RegisterResponse:
        """Creates an account with a password. What is refused costs no hash."""
        if not self._is_open:
            raise permission_missing("open registration")
        registration = Registration.parse(request)
        buckets = throttles.registration_buckets(call.peer_ip)
        await throttles.reserve(self._database, buckets)
        taken = await self._find_taken(registration)
        phc = "" if taken else await self._hash(registration, buckets)

        async def create(connection: Connection) -> pb.RegisterResponse:
            # Not before: a repetition finds its own name taken, and gets the first result.
            if taken is not None:
                raise taken
            row = await _create_account(connection, registration, phc)
            await audit(
                connection, call, AuditAction.USER_REGISTERED, "user", row["id"], row["username"]
            )
            return pb.RegisterResponse(user=_message(row))

        return await self._writes.once(call, Repeatable.of(request), pb.RegisterResponse, create)

    async def _find_taken(self, registration: Registration) -> DomainError | None:
        """Returns NAME_TAKEN if the username or the address belongs to an account already."""
        row = await self._database.fetchrow(
            Q.taken, registration.username, fold_login(registration.email)
        )
        if row is not None and row["username"]:
            return name_taken("username", registration.username)
        if row is not None and row["email"]:
            return name_taken("email", registration.email)
        return None

    async def _hash(self, registration: Registration, buckets: list[throttles.Bucket]) -> str:
        """Returns the hash of the password. Raises SERVER_BUSY, and then the attempt does not count."""
        try:
            return await self._hasher.hash(registration.password)
        except DomainError:
            async with self._database.connection() as connection:
                await throttles.give_back(connection, buckets)
            raise

    async def GetMe(self, request: pb.GetMeRequest, call: Call) -> pb.GetMeResponse:
        """Returns the caller's own account."""
        del request
        row = await self._database.fetchrow(Q.user_by_id, call.caller.user_id)
        if row is None:
            raise not_found("user", str(call.caller.user_id))
        return pb.GetMeResponse(user=_message(row))


async def _create_account(connection: Connection, registration: Registration, phc: str) -> Row:
    """Inserts the rows of a new account and returns that of users. Raises NAME_TAKEN."""
    try:
        row = await connection.fetchrow(
            Q.create_user,
            registration.username,
            registration.email,
            fold_login(registration.email),
            registration.name,
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "users_email_key":
            raise name_taken("email", registration.email) from None
        raise name_taken("username", registration.username) from None
    assert row is not None  # noqa: S101  RETURNING of an INSERT
    await connection.execute(
        Q.create_credentials, row["id"], phc, passwords.read_salt(phc), passwords.ALGORITHM
    )
    return row


def _message(row: Row) -> pb.User:
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
