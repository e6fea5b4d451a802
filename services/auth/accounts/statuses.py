"""Barring accounts, and letting them back in."""

from __future__ import annotations

from datetime import UTC, datetime

from services.auth.credentials.sessions import end_all_sessions
from services.auth.credentials.ssh_keys import announce_owner_change
from services.auth.mail.notices import Addressee, mail_notice
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import invalid_field, not_found
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

MOST_REASON = 500
# How late an account may be let back in.
CHECK_SECONDS = 5.0


async def suspend_account(
    connection: Connection, key: ServerKey, username: str, reason: str, until: datetime | None
) -> None:
    """Bars an account until a time, or until it is reinstated; ends its sessions and tells its owner.

    Raises INVALID_FIELD or NOT_FOUND.
    """
    validation.text("reason", reason, least=1, most=MOST_REASON)
    if until is not None and until <= datetime.now(UTC):
        raise invalid_field("until", "must be in the future")
    name = validation.username("username", username)
    row = await connection.fetchrow(Q.suspend, name.lower(), reason, until)
    if row is None:
        raise not_found("user", username)
    await end_all_sessions(connection, None, row["id"])
    await announce_owner_change(connection, [row["id"]], None)
    end = "when it is lifted" if until is None else f"on {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    await audit(
        connection, None, AuditAction.USER_SUSPENDED, "user", row["id"], row["username"],
        reason=reason, until="" if until is None else until.isoformat(),
    )  # fmt: skip
    await mail_notice(
        connection, key, "account_suspended", Addressee.of(row), reason=reason, until=end
    )


async def reinstate_account(connection: Connection, username: str) -> None:
    """Lets an account that is barred back in. Raises INVALID_FIELD or NOT_FOUND."""
    name = validation.username("username", username)
    row = await connection.fetchrow(Q.reinstate, name.lower())
    if row is None:
        raise not_found("suspended_user", username)
    await announce_owner_change(connection, [row["id"]], None)
    await audit(connection, None, AuditAction.USER_REINSTATED, "user", row["id"], row["username"])


async def end_suspensions(database: Database) -> None:
    """Lets those accounts back in whose time is over."""

    async def end(connection: Connection) -> None:
        rows = await connection.fetch(Q.end_suspensions)
        await announce_owner_change(connection, [row["id"] for row in rows], None)
        for row in rows:
            await audit(
                connection, None, AuditAction.USER_REINSTATED, "user", row["id"], row["username"]
            )

    await database.transaction(end)
