"""The credential of a call, as its owner wants to know it."""

from __future__ import annotations

from shared.db import sql
from shared.db.pool import Database, Row
from shared.errors import unauthenticated
from shared.rpc.call import Caller

Q = sql.load(__file__)


async def describe_credential(database: Database, caller: Caller) -> Row:
    """Returns the name and times of a caller's credential. Raises UNAUTHENTICATED if it is gone by now."""
    query = Q.describe_session if caller.is_session else Q.describe_token
    row = await database.fetchrow(query, caller.credential_id)
    if row is None:
        raise unauthenticated()
    return row
