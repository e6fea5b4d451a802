"""RefreshSession: the token of a session is replaced, and one that comes back later ends the session.

The rule for two who refresh at once: within GRACE, the replaced token gives the token that replaced it,
and a token younger than GRACE is returned as it is. So all who hold a token at some moment come to the
same next one, in whichever order they ask, and a lost answer can be asked for again. A replaced token that
is shown later was taken by somebody who did not learn of its successor: a thief, or the owner after a
thief. The server cannot tell which, and ends the session.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from uuid import UUID

from dits.auth.v1.notification_service_pb2 import NotificationType
from dits.auth.v1.session_service_pb2 import IssuedSession

from services.auth.credentials.throttles import network_of
from services.auth.notifications import texts
from services.auth.notifications.catalog import Draft
from services.auth.notifications.delivery import notify_owner
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import unauthenticated
from shared.formats import credentials
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Access, Call, Caller
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

GRACE = timedelta(seconds=30)
_CONTEXT = b"successor of a session token"
# The same words whatever is wrong with the token.
_ENDED = "the session has ended, or this is no token of one: log in again"


class SessionRefresh:
    """Replaces the tokens of sessions."""

    def __init__(self, database: Database, key: ServerKey) -> None:
        self._database = database
        self._key = key

    async def refresh(self, token: str, call: Call) -> IssuedSession:
        """Returns the session with the token that follows this one; makes it the credential of the call.

        Raises UNAUTHENTICATED if the token is of no live session, or was replaced longer than GRACE ago;
        in this case, the session has ended by then.
        """

        async def follow(connection: Connection) -> IssuedSession | None:
            return await self._follow(connection, token, call)

        session = None
        if credentials.well_formed(token):
            session = await self._database.transaction(follow)
        if session is None:
            raise unauthenticated(_ENDED)
        return session

    async def _follow(self, connection: Connection, token: str, call: Call) -> IssuedSession | None:
        """Returns the session with the next token; None if there is none."""
        hashed = credentials.token_hash(token)
        session_id = await connection.fetchval(Q.find_session, hashed)
        row = await connection.fetchrow(Q.lock_session, session_id, GRACE)
        if row is None:
            return None
        call.access = Access(Caller.of(row["user_id"], row["username"], row["id"], None), None)
        if not hmac.compare_digest(row["token_hash"], hashed):
            following = await self._find_successor(connection, call, row, hashed)
        elif row["is_fresh"]:
            following = token
        else:
            following = await self._replace(connection, call, row)
        if following is None:
            return None
        return IssuedSession(
            id=str(row["id"]),
            token=following,
            expire_time=row["expires_at"],
            user_id=str(row["user_id"]),
            username=row["username"],
        )

    async def _replace(self, connection: Connection, call: Call, row: Row) -> str:
        """Gives a session a new token, and returns it."""
        token = credentials.mint(credentials.Kind.SESSION)
        await connection.execute(
            *Q.bind.replace_token(
                session_id=row["id"],
                token_hash=credentials.token_hash(token),
                ip_address=call.peer_ip,
                sealed=self._key.seal(token.encode(), _context(row["id"])),
            )
        )
        await audit(
            connection, call, AuditAction.SESSION_REFRESHED, "session", row["id"],
            row["device_id"] or "",
        )  # fmt: skip
        return token

    async def _find_successor(
        self, connection: Connection, call: Call, row: Row, hashed: str
    ) -> str | None:
        """Returns the token that replaced this one; None, and the session has ended, if it is too late."""
        former = await connection.fetchrow(Q.find_successor, hashed, GRACE)
        if former is None or not former["is_recent"]:
            await self._end_stolen(connection, call, row)
            return None
        # None if the server's key was changed meanwhile: the client logs in again.
        plain = self._key.unseal(former["sealed_successor"], _context(row["id"]))
        return None if plain is None else plain.decode()

    async def _end_stolen(self, connection: Connection, call: Call, row: Row) -> None:
        """Ends a session of which somebody has a token who should not, and tells its owner."""
        device = row["device_id"] or ""
        await connection.execute(Q.end_session, row["id"])
        await audit(connection, call, AuditAction.SESSION_REPLAYED, "session", row["id"], device)
        network = "" if call.peer_ip is None else network_of(call.peer_ip)
        title, message = texts.describe_replay(device, network)
        await notify_owner(
            connection,
            self._key,
            Draft(
                user_id=row["user_id"],
                type=NotificationType.NOTIFICATION_TYPE_SESSION_REPLAYED,
                source_id=row["id"],
                repository_id=None,
                title=title,
                message=message,
                link=texts.SESSIONS_LINK,
            ),
        )


def _context(session_id: UUID) -> bytes:
    return _CONTEXT + session_id.bytes
