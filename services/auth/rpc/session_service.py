"""Sessions: logging in and out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from dits.auth.v1 import session_service_pb2 as pb

from services.auth.credentials import login_throttles
from services.auth.credentials.logins import fold_login
from services.auth.credentials.passwords import MOST_BYTES, Hasher, read_salt
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field, unauthenticated
from shared.formats import credentials
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.rpc.call import Access, Call, Caller

Q = sql.load(__file__)

# The same words for every failure.
WRONG = "this login and password do not belong together"


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """A login and what is said to be its password.

    Attributes:
        login: username or e-mail address, folded.
        device_name: may be empty.
        buckets: where a failure is counted.
    """

    login: str
    password: str = field(repr=False)
    device_name: str
    buckets: list[str]

    @classmethod
    def parse(cls, request: pb.LoginRequest, call: Call) -> Self:
        """Returns the attempt that a request makes. Raises INVALID_FIELD."""
        login = fold_login(validation.text("login", request.login, least=1, most=254))
        device_name = validation.text("device_name", request.device_name, most=255)
        if not 1 <= len(request.password.encode()) <= MOST_BYTES:
            raise invalid_field("password", f"must have 1 to {MOST_BYTES} bytes")
        buckets = login_throttles.list_buckets(login, call.peer_ip)
        return cls(login, request.password, device_name, buckets)


class SessionService:
    """The RPCs of dits.auth.v1.SessionService."""

    def __init__(self, database: Database, hasher: Hasher) -> None:
        self._database = database
        self._hasher = hasher

    async def Login(self, request: pb.LoginRequest, call: Call) -> pb.LoginResponse:
        """Opens a session for a username or e-mail address and its password."""
        attempt = LoginAttempt.parse(request, call)
        await login_throttles.require_open(self._database, attempt.buckets)
        user = await self._authenticate(attempt)
        token = credentials.mint(credentials.Kind.SESSION)

        async def open_session(connection: Connection) -> Row:
            return await _open_session(connection, call, user, attempt, token)

        session = await self._database.transaction(open_session)
        issued = pb.IssuedSession(
            id=str(session["id"]),
            token=token,
            expire_time=session["expires_at"],
            user_id=str(user["id"]),
            username=user["username"],
        )
        return pb.LoginResponse(session=issued)

    async def Logout(self, request: pb.LogoutRequest, call: Call) -> pb.LogoutResponse:
        """Ends the session that the call came with."""
        del request
        caller = call.caller
        if not caller.is_session:
            raise invalid_field("authorization", "an API token cannot log out; revoke it instead")

        async def end_session(connection: Connection) -> None:
            if await connection.fetchval(Q.revoke_session, caller.credential_id, caller.user_id):
                await audit(
                    connection, call, AuditAction.SESSION_ENDED, "session", caller.credential_id, ""
                )

        await self._database.transaction(end_session)
        return pb.LogoutResponse()

    async def _authenticate(self, attempt: LoginAttempt) -> Row:
        """Returns the account. If the password is wrong, counts a failure and raises UNAUTHENTICATED."""
        user = await self._database.fetchrow(Q.login_row, attempt.login)
        phc = user["password_hash"] if user else None
        fits = await self._hasher.verify(phc, attempt.password)
        if user is None or not fits or user["status"] != "active":
            await self._count_failure(attempt, user)
            raise unauthenticated(WRONG)
        await self._refresh_hash(user, attempt.password)
        return user

    async def _count_failure(self, attempt: LoginAttempt, user: Row | None) -> None:
        async def count(connection: Connection) -> None:
            await login_throttles.count_failure(connection, attempt.buckets)
            if user is not None:
                await connection.execute(Q.note_failure, user["id"])

        await self._database.transaction(count)

    async def _refresh_hash(self, user: Row, password: str) -> None:
        """Replaces a hash that was made with older parameters, while the password is at hand."""
        if not self._hasher.is_outdated(user["password_hash"]):
            return
        phc = await self._hasher.hash(password)
        async with self._database.connection() as connection:
            await connection.execute(
                Q.store_password_hash, user["id"], user["password_hash"], phc, read_salt(phc)
            )


async def _open_session(
    connection: Connection, call: Call, user: Row, attempt: LoginAttempt, token: str
) -> Row:
    """Inserts a session and makes it the credential of the call. Returns its id and when it ends."""
    if await connection.fetchval(Q.lock_account, user["id"]) != "active":
        raise unauthenticated(WRONG)
    await connection.execute(Q.evict_sessions, user["id"])
    session = await connection.fetchrow(
        *Q.bind.create_session(
            user_id=user["id"],
            token_hash=credentials.token_hash(token),
            ip_address=call.peer_ip,
            user_agent=call.user_agent,
            device_id=attempt.device_name or None,
        )
    )
    assert session is not None  # noqa: S101  RETURNING of an INSERT
    await login_throttles.forget_failures(connection, attempt.buckets)
    await connection.execute(Q.note_success, user["id"])
    call.access = Access(Caller.of(user["id"], user["username"], session["id"], None), None)
    await audit(
        connection, call, AuditAction.SESSION_OPENED, "session", session["id"], attempt.device_name
    )
    return session
