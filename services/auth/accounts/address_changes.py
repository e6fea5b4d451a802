"""Another e-mail address for an account: confirmed there and, if the old one was verified, at that."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import asyncpg

from services.auth.accounts.links import mail_link
from services.auth.accounts.spent_links import SpentLink
from services.auth.credentials import throttles
from services.auth.credentials.one_time_tokens import Purpose, withdraw_tokens
from services.auth.credentials.ssh_keys import announce_owner_change
from services.auth.logins import fold_login
from services.auth.mail.notices import Addressee, mail_notice
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import name_taken
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


async def begin_address_change(
    connection: Connection, call: Call, key: ServerKey, email: str
) -> None:
    """Mails the links that change the caller's address, and ends those of an earlier change.

    Nobody looks whether another account has the address: that is told to those who read its mails.
    Raises RATE_LIMITED.
    """
    row = await connection.fetchrow(Q.lock_account, call.caller.user_id)
    assert row is not None  # noqa: S101  rows of users stay
    await withdraw_tokens(connection, Purpose.CHANGE_EMAIL, row["id"])
    if email == row["email"]:
        return
    buckets = throttles.mailed_buckets(Purpose.CHANGE_EMAIL, row["id"])
    await throttles.reserve_within(connection, buckets)
    old = Addressee.of(row)
    addressees = [replace(old, email=email), *([old] if row["email_verified"] else [])]
    change = str(uuid4())
    for addressee in addressees:
        await mail_link(
            connection, key, Purpose.CHANGE_EMAIL, addressee, {"new_email": email},
            email=email, change=change,
        )  # fmt: skip
    await audit(
        connection, call, AuditAction.EMAIL_CHANGE_REQUESTED, "user", row["id"], row["username"]
    )


async def confirm_address_change(
    connection: Connection, call: Call, key: ServerKey, link: SpentLink
) -> bool:
    """Changes the address, unless another link of the change is still to be opened: then returns True.

    The account is locked. Raises NAME_TAKEN.
    """
    if await connection.fetchval(Q.is_waiting, link.user_id, link.context["change"]):
        return True
    row = await connection.fetchrow(Q.lock_account, link.user_id)
    assert row is not None  # noqa: S101  rows of users stay
    email = link.context["email"]
    try:
        await connection.execute(Q.change_address, link.user_id, email, fold_login(email))
    except asyncpg.UniqueViolationError:
        raise name_taken("email", email) from None
    await audit(connection, call, AuditAction.EMAIL_CHANGED, "user", link.user_id, row["username"])
    await announce_owner_change(connection, [link.user_id], call.caller_id)
    await mail_notice(connection, key, "email_changed", Addressee.of(row), new_email=email)
    return False
