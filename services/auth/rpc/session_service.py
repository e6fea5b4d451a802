"""Sessions: logging in and out."""

from __future__ import annotations

import ipaddress

from dits.auth.v1 import session_service_pb2 as pb

from services.auth.credentials.passwords import MOST_BYTES, Hasher, salt_of
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field, rate_limited, unauthenticated
from shared.formats import credentials
from shared.records.audit import audit
from shared.rpc import validation
from shared.rpc.call import Access, Call, Caller

Q = sql.load(__file__)

# Failures within 15 minutes after which a bucket is closed. A whole studio may share an address.
LOGIN_LIMIT = 10
ADDRESS_LIMIT = 100
# Whatever is wrong: the same words.
WRONG = "this login and password do not belong together"


class SessionService:
    """The RPCs of dits.auth.v1.SessionService."""

    def __init__(self, database: Database, hasher: Hasher) -> None:
        self._database = database
        self._hasher = hasher

    async def Login(self, request: pb.LoginRequest, call: Call) -> pb.LoginResponse:
        """Opens a session for a username or address and its password."""
        login = validation.text("login", request.login, least=1, most=254).lower()
        validation.text("device_name", request.device_name, most=255)
        if not 1 <= len(request.password.encode()) <= MOST_BYTES:
            raise invalid_field("password", f"must have 1 to {MOST_BYTES} bytes")
        buckets = _buckets(login, call.peer_ip)
        await self._refuse_throttled(buckets)
        row = await self._database.fetchrow(Q.login_row, login)
        fits = await self._hasher.verify(row["password_hash"] if row else None, request.password)
        if row is None or not fits or row["status"] != "active":
            await self._failed(buckets, row)
            raise unauthenticated(WRONG)
        await self._refresh_hash(row, request.password)
        return await self._open(row, request.device_name, call, buckets[0])

    async def Logout(self, request: pb.LogoutRequest, call: Call) -> pb.LogoutResponse:
        """Ends the session that the call came with."""
        del request
        caller = call.caller
        if not caller.is_session:
            raise invalid_field("authorization", "an API token cannot log out; revoke it instead")

        async def work(connection: Connection) -> None:
            if await connection.fetchval(Q.revoke_session, caller.credential_id, caller.user_id):
                await audit(connection, call, "session.ended", "session", caller.credential_id, "")

        await self._database.transaction(work)
        return pb.LogoutResponse()

    async def _refuse_throttled(self, buckets: list[str]) -> None:
        row = await self._database.fetchrow(Q.throttle_wait, buckets)
        wait = row[0] if row else None
        if wait is not None and wait > 0:
            raise rate_limited(wait)

    async def _failed(self, buckets: list[str], row: Row | None) -> None:
        """Counts a failed attempt."""
        limits = [LOGIN_LIMIT, ADDRESS_LIMIT][: len(buckets)]

        async def work(connection: Connection) -> None:
            await connection.execute(Q.record_failure, buckets, limits)
            if row is not None:
                await connection.execute(Q.note_failure, row["id"])

        await self._database.transaction(work)

    async def _refresh_hash(self, row: Row, password: str) -> None:
        """Brings an old hash up to today's parameters, now that the password is at hand."""
        if not self._hasher.outdated(row["password_hash"]):
            return
        phc = await self._hasher.hash(password)
        async with self._database.connection() as connection:
            await connection.execute(
                Q.store_password_hash, row["id"], row["password_hash"], phc, salt_of(phc)
            )

    async def _open(self, user: Row, device_name: str, call: Call, bucket: str) -> pb.LoginResponse:
        """The session row and its token."""
        token = credentials.mint(credentials.Kind.SESSION)

        async def work(connection: Connection) -> Row:
            if await connection.fetchval(Q.lock_account, user["id"]) != "active":
                raise unauthenticated(WRONG)
            await connection.execute(Q.evict_sessions, user["id"])
            session = await connection.fetchrow(
                Q.create_session,
                user["id"],
                credentials.token_hash(token),
                call.peer_ip,
                call.user_agent,
                device_name or None,
            )
            assert session is not None  # noqa: S101  RETURNING of an INSERT
            await connection.execute(Q.forgive, bucket)
            await connection.execute(Q.note_success, user["id"])
            caller = Caller.of(user["id"], user["username"], session["id"], None)
            call.access = Access(caller, None)
            await audit(connection, call, "session.opened", "session", session["id"], device_name)
            return session

        session = await self._database.transaction(work)
        return pb.LoginResponse(
            session=pb.IssuedSession(
                id=str(session["id"]),
                token=token,
                expire_time=session["expires_at"],
                user_id=str(user["id"]),
                username=user["username"],
            )
        )


def _buckets(login: str, address: str | None) -> list[str]:
    """Where failures are counted: the login from its network, and the address alone."""
    if address is None:
        return [f"login {login}"]
    bits = 24 if ":" not in address else 64
    network = ipaddress.ip_network(f"{address}/{bits}", strict=False)
    return [f"login {login} from {network}", f"address {address}"]
