"""Opening a session: the last step of every way to log in."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from dits.auth.v1.session_service_pb2 import IssuedSession

from services.auth.credentials.devices import DeviceTokens
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import unauthenticated
from shared.formats import credentials
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Access, Call, Caller

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class ProvenLogin:
    """An account whose owner has just proven to be the caller.

    Attributes:
        method: how, for the audit log: `password` or `ssh_key`.
        device_name: may be empty.
        device_id: of a device that has logged in to the account before; None = another one.
        refusal: what a caller is told if the account cannot log in: the words of a wrong proof.
    """

    user_id: UUID
    username: str
    method: str
    device_name: str
    device_id: UUID | None
    refusal: str


async def open_session(
    connection: Connection, call: Call, login: ProvenLogin, devices: DeviceTokens
) -> IssuedSession:
    """Opens a session, and makes it the credential of the call; the sixth ends the least recently used.

    Raises UNAUTHENTICATED if the account is not active any more.
    """
    if await connection.fetchval(Q.lock_account, login.user_id) != "active":
        raise unauthenticated(login.refusal)
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
        await audit(
            connection, call, AuditAction.SESSION_ENDED, "session", row["id"], "",
            ended_by=str(session["id"]),
        )  # fmt: skip
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
