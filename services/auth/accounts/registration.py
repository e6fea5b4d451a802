"""New accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import asyncpg
from dits.auth.v1 import account_service_pb2 as pb

from services.auth.accounts.links import mail_link
from services.auth.credentials import passwords
from services.auth.credentials.one_time_tokens import Purpose
from services.auth.logins import fold_login, parse_email
from services.auth.mail.notices import Addressee
from services.auth.owner_names import FORMER_NAME, refuse_owner_name
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import DomainError, name_taken
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A new account that obeys the rules.

    Attributes:
        name: to show to people; the username unless the request says otherwise.
    """

    username: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Registration:
    """An account that its owner creates, with a password."""

    account: NewAccount
    password: str = field(repr=False)

    @classmethod
    def parse(cls, request: pb.RegisterRequest) -> Self:
        """Returns the account that a request describes. Raises INVALID_FIELD."""
        if request.request_id:
            validation.uuid("request_id", request.request_id)
        username = validation.username("username", request.username)
        name = validation.text("name", request.name or username, least=1, most=255)
        email = parse_email("email", request.email)
        password = passwords.require_strong(request.password, username, email)
        return cls(NewAccount(username, email, name), password)


async def find_taken(database: Database, new: NewAccount) -> DomainError | None:
    """Returns NAME_TAKEN if the username or the address belongs to an account already."""
    row = await database.fetchrow(Q.taken, new.username, fold_login(new.email))
    if row is not None and row["username"]:
        return refuse_owner_name("username", new.username, is_former=row["is_former"])
    if row is not None and row["email"]:
        return name_taken("email", new.email)
    return None


async def register(
    connection: Connection,
    call: Call,
    new: NewAccount,
    phc: str,
    key: ServerKey,
    *,
    needs_verification: bool,
) -> Row:
    """Creates an account with the hash of its password, and mails the link that verifies its address.

    `needs_verification`: it cannot log in before. Returns the row of users. Raises NAME_TAKEN.
    """
    status = "pending_verification" if needs_verification else "active"
    row = await insert_account(connection, call, new, status=status)
    await connection.execute(
        Q.create_credentials, row["id"], phc, passwords.read_salt(phc), passwords.ALGORITHM
    )
    await mail_link(connection, key, Purpose.VERIFY_EMAIL, Addressee.of(row))
    return row


async def insert_account(
    connection: Connection, call: Call | None, new: NewAccount, *, status: str
) -> Row:
    """Creates an account without a credential; returns the row of users. Raises NAME_TAKEN."""
    try:
        row = await connection.fetchrow(
            *Q.bind.create_user(
                username=new.username,
                email=new.email,
                email_folded=fold_login(new.email),
                name=new.name,
                status=status,
            )
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "users_email_key":
            raise name_taken("email", new.email) from None
        is_former = error.constraint_name == FORMER_NAME
        raise refuse_owner_name("username", new.username, is_former=is_former) from None
    assert row is not None  # noqa: S101  RETURNING of an INSERT
    await audit(connection, call, AuditAction.USER_REGISTERED, "user", row["id"], row["username"])
    return row
