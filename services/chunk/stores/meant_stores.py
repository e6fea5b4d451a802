"""Whether the stores that a process has opened are those that the database means, still and all of them.

Others may give it up meanwhile: `dits-server store adopt`, the end of a move or of a region. What a process
that was stopped, or left out, would write there then, nobody would find.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog

from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.pool import Database, Row
from shared.errors import DomainError, dependency_unavailable

Q = sql.load(__file__)
log = structlog.get_logger(__name__)


async def require_meant(database: Database, store: BlobStore) -> None:
    """Raises DEPENDENCY_UNAVAILABLE, and logs why, if the database means another store."""
    if store.expected_id is None:
        return
    [row] = await database.fetch(Q.is_meant, store.bucket, store.expected_id)
    if not row[0]:
        raise given_up(store)


def given_up(store: BlobStore) -> DomainError:
    """Returns what is raised when the database means another store, after logging what to do."""
    log.error(
        "the store of a region is another one by now: nothing is stored in the one that this process has; "
        "set store and stores as they have to be now, and restart it",
        bucket=store.bucket,
        location=store.location,
        store_id=store.expected_id,
    )
    return dependency_unavailable(
        "object store", f"the store of {store.bucket} is another one by now"
    )


async def find_unnamed(database: Database, buckets: Collection[str]) -> Row | None:
    """Returns a bucket besides these in which packs lie (bucket, location); None if there is none."""
    return await database.fetchrow(Q.find_unnamed, list(buckets))


async def require_named(database: Database, buckets: Collection[str]) -> None:
    """Raises DEPENDENCY_UNAVAILABLE if packs lie in a bucket besides these."""
    if row := await find_unnamed(database, buckets):
        raise not_named(row["bucket"])


def not_named(bucket: str) -> DomainError:
    """Returns what is raised where a process was told of no store for a bucket: one that was may come."""
    return dependency_unavailable(
        "object store", f"stores and tiers of this process do not name {bucket}"
    )
