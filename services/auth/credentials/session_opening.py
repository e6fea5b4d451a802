"""Opening a session: the last step of every way to log in."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from dits.auth.v1.notification_service_pb2 import NotificationType
from dits.auth.v1.session_service_pb2 import IssuedSession

from services.auth.credentials.devices import DeviceTokens
from services.auth.credentials.throttles import network_of
from services.auth.notifications import texts
from services.auth.notifications.catalog import Draft
from services.auth.notifications.delivery import deliver
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import unauthenticated
from shared.formats import credentials
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Access, Call, Caller

Q = sql.load(__file__)


class SecondFactorNeededError(Exception):
    """The account has a second factor, and the login has not proven it: there is no session yet."""


@dataclass(frozen=True, slots=True)
class ProvenLogin:
    """An account whose owner has just proven to be the caller.

    Attributes:
        method: how, for the audit log: `password`, `ssh_key`, `password+totp` or `password+recovery_code`.
        device_name: may be empty.
        device_id: of a device that has logged in to the account before; None = another one.
        refusal: what a caller is told if the account cannot log in: the words of a wrong proof.
        has_second_factor: more was proven than what a password proves.
    """

    user_id: UUID
    username: str
    method: str
    device_name: str
    device_id: UUID | None
    refusal: str
    has_second_factor: bool = False


async def open_session(
    connection: Connection, call: Call, login: ProvenLogin, devices: DeviceTokens
) -> IssuedSession:
    """Opens a session, and makes it the credential of the call; the sixth ends the least recently used.

    Raises UNAUTHENTICATED if the account is not active any more, and SecondFactorNeededError if it has a
    second factor that the login has not proven: no way to log in passes it by.
    """
    await _lock_account(connection, login)
    evicted = await connection.fetch(Q.evict_sessions, login.user_id)
    token = credentials.mint(credentials.Kind.SESSION)
    session = await connection.fetchrow(
        *Q.bind.create_session(
            user_id=login.user_id,
            token_hash=credentials.token_hash(token),
            ip_address=call.peer_ip,
            user_agent=call.user_agent,
            device_id=login.device_name or None,
        )
    )
    assert session is not None  # noqa: S101  RETURNING of an INSERT
    await connection.execute(Q.note_success, login.user_id)
    call.access = Access(Caller.of(login.user_id, login.username, session["id"], None), None)
    for row in evicted:
        await _record_eviction(connection, call, login, row, session["id"])
    await audit(
        connection, call, AuditAction.SESSION_OPENED, "session", session["id"], login.device_name,
        method=login.method,
    )  # fmt: skip
    return IssuedSession(
        id=str(session["id"]),
        token=token,
        expire_time=session["expires_at"],
        user_id=str(login.user_id),
        username=login.username,
        device_token=devices.issue(login.user_id, login.device_id or uuid4()),
    )


async def _record_eviction(
    connection: Connection, call: Call, login: ProvenLogin, row: Row, opened: UUID
) -> None:
    """Writes the audit row of a session that made room for another one, and tells its owner."""
    await audit(
        connection, call, AuditAction.SESSION_ENDED, "session", row["id"], row["device_id"] or "",
        ended_by=str(opened),
    )  # fmt: skip
    network = "" if call.peer_ip is None else network_of(call.peer_ip)
    title, message = texts.describe_eviction(row["device_id"] or "", login.device_name, network)
    draft = Draft(
        user_id=login.user_id,
        type=NotificationType.NOTIFICATION_TYPE_SESSION_EVICTED,
        source_id=row["id"],
        repository_id=None,
        title=title,
        message=message,
        link=texts.SESSIONS_LINK,
    )
    await deliver(connection, [draft])


async def _lock_account(connection: Connection, login: ProvenLogin) -> None:
    """Keeps the account as it is. Raises UNAUTHENTICATED or SecondFactorNeededError."""
    account = await connection.fetchrow(Q.lock_account, login.user_id)
    if account is None or account["status"] != "active":
        raise unauthenticated(login.refusal)
    if account["mfa_enabled"] and not login.has_second_factor:
        raise SecondFactorNeededError
