"""The caller's account, locked before something is added to it."""

from __future__ import annotations

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import unauthenticated
from shared.rpc.call import Call

Q = sql.load(__file__)


async def lock_caller(connection: Connection, call: Call) -> None:
    """Makes changes of the caller's account follow one another; logins and its deletion wait, too.

    Raises UNAUTHENTICATED if the account was deleted or suspended since the call was let in.
    """
    if await connection.fetchval(Q.lock_account, call.caller.user_id) is None:
        raise unauthenticated()
