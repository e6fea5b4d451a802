"""Another token for a session: after a proof of identity, what was stolen before opens nothing."""

from __future__ import annotations

from dits.auth.v1.session_service_pb2 import IssuedSession

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import unauthenticated
from shared.formats import credentials
from shared.rpc.call import Call

Q = sql.load(__file__)


async def rotate_session(connection: Connection, call: Call) -> IssuedSession:
    """Gives the caller's session another token, the only one that it has; its end and all else stay.

    Raises UNAUTHENTICATED.
    """
    caller = call.caller
    token = credentials.mint(credentials.Kind.SESSION)
    row = await connection.fetchrow(Q.rotate, caller.credential_id, credentials.token_hash(token))
    if row is None:
        raise unauthenticated()
    await connection.execute(Q.forget_former_tokens, caller.credential_id)
    return IssuedSession(
        id=str(row["id"]),
        token=token,
        expire_time=row["expires_at"],
        user_id=str(caller.user_id),
        username=caller.username,
    )
