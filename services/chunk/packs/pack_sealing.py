"""The first and the last step of the transactions that point rows at a new pack."""

from __future__ import annotations

from services.chunk.packs.pack import Pack
from services.chunk.stores.meant_stores import given_up
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import upload_expired

Q = sql.load(__file__)


async def hold_open_pack(connection: Connection, pack: Pack) -> bool:
    """Locks a pack; returns False if an earlier commit has sealed it, whose reply was lost.

    Raises UPLOAD_EXPIRED if the sweep dropped it, DEPENDENCY_UNAVAILABLE if its store was given up.
    """
    store = pack.store
    row = await connection.fetchrow(Q.hold_pack, pack.key, store.bucket, store.expected_id)
    if row is None:
        raise upload_expired()
    if row["state"] != "open":
        return False
    if not row["is_meant"]:
        raise given_up(store)
    return True


async def end_pack(connection: Connection, pack: Pack, live: int, hashes: str) -> None:
    """Seals a pack that `live` rows name, or drops it; `hashes`: of the chunks in it, with commas."""
    if live:
        await connection.execute(Q.seal_pack, pack.key, live, pack.length, hashes)
    else:
        await connection.execute(Q.drop_unneeded_pack, pack.key)
