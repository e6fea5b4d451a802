"""The names of regions: what lies in a store has one of them, so the store keeps it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.runtime.config import ConfigError

Q = sql.load(__file__)


async def find_other_name(
    database: Database | Connection, store: BlobStore, found: Sequence[uuid.UUID | None]
) -> Row | None:
    """Returns another bucket by whose name stores with these ids go, and whether it is used (is_used)."""
    return await database.fetchrow(Q.other_name, store.bucket, list(filter(None, found)))


async def refuse_renamed(
    database: Database | Connection, store: BlobStore, found: Sequence[uuid.UUID | None]
) -> None:
    """Raises ConfigError if stores of a bucket, with these ids, go by the name of another one."""
    row = await find_other_name(database, store, found)
    if row is None:
        return
    name, new = row["bucket"], store.bucket
    remedy = (
        f"Set the region back to {name}. To give it another name, say in stores where {new} is to lie, a "
        f"place of its own, and that {name} is here; then run `dits-server store evacuate {name} --to "
        f"{new}`."
    )
    if not row["is_used"]:
        remedy += f" As nothing lies there yet, `dits-server store adopt {new}` renames it, too."
    raise ConfigError(
        f"The store {store.location} is that of the region {name}, not {new}. {remedy}"
    )


async def rename_unused(
    connection: Connection, store: BlobStore, found: Sequence[uuid.UUID]
) -> None:
    """Lets stores in which nothing lies go by no other name. Raises ConfigError if something does."""
    while row := await find_other_name(connection, store, found):
        name = row["bucket"]
        if row["is_used"]:
            raise ConfigError(
                f"The store {store.location} cannot become that of {store.bucket}: packs of the region "
                f"{name} lie there, wait for their deletion, or are wanted there."
            )
        await connection.execute(Q.forget_name, name)
