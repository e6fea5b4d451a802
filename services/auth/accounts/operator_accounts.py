"""What the operator does with accounts: opens them, and has their passwords set anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from services.auth.accounts.links import mail_link
from services.auth.accounts.registration import NewAccount, insert_account
from services.auth.credentials.one_time_tokens import IssuedToken, Purpose, withdraw_tokens
from services.auth.credentials.sessions import end_all_sessions
from services.auth.logins import parse_email
from services.auth.mail.notices import Addressee
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import not_found
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# As that of an invitation: the user does not wait for the mail, and the account holds nothing yet.
FIRST_LINK_LIFE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class OperatorAccount:
    """An account that the operator opens.

    Attributes:
        is_verified: the operator knows that the address is its owner's.
    """

    account: NewAccount
    is_verified: bool

    @classmethod
    def parse(cls, username: str, email: str, name: str, *, is_verified: bool) -> Self:
        """Returns what a command asks for. Raises INVALID_FIELD."""
        username = validation.username("username", username)
        name = validation.text("name", name or username, least=1, most=255)
        return cls(NewAccount(username, parse_email("email", email), name), is_verified)


async def open_account(
    connection: Connection, key: ServerKey, wanted: OperatorAccount
) -> IssuedToken:
    """Creates an account without a password; returns the token, also mailed, that sets one.

    Raises NAME_TAKEN.
    """
    row = await insert_account(connection, None, wanted.account, status="active")
    if wanted.is_verified:
        await connection.execute(Q.mark_verified, row["id"])
    else:
        await mail_link(connection, key, Purpose.VERIFY_EMAIL, Addressee.of(row))
    return await mail_link(
        connection, key, Purpose.RESET_PASSWORD, Addressee.of(row), life=FIRST_LINK_LIFE
    )


async def require_new_password(
    connection: Connection, key: ServerKey, username: str
) -> IssuedToken:
    """Ends the password and the sessions of an account; returns the token, also mailed, that sets another.

    Raises INVALID_FIELD or NOT_FOUND.
    """
    name = validation.username("username", username)
    row = await connection.fetchrow(Q.lock_account, name.lower())
    if row is None:
        raise not_found("user", username)
    await connection.execute(Q.force_password_change, row["id"])
    await end_all_sessions(connection, None, row["id"])
    for purpose in (Purpose.RESET_PASSWORD, Purpose.CHANGE_EMAIL):
        await withdraw_tokens(connection, purpose, row["id"])
    await audit(
        connection, None, AuditAction.PASSWORD_RESET_REQUIRED, "user", row["id"], row["username"]
    )
    return await mail_link(connection, key, Purpose.RESET_PASSWORD, Addressee.of(row))
