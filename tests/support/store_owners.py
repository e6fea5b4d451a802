"""What the tests of the owners of stores share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.collection.inventory import Inventory
from services.chunk.stores.blob_store import BlobStore
from shared.db.pool import Database, Databases
from shared.errors import DomainError
from shared.runtime.metrics import REGISTRY
from tests.support.collection import DAY, exhaust

KEY = "0/" + "aa" * 16


async def write_object(store: BlobStore, key: str) -> None:
    """Makes an object."""
    writer = store.open_writer(key)
    await writer.write_parts([b"data"])
    await writer.seal()


async def begin_to_delete(database: Database, key: str) -> None:
    """Queues an object whose time has come."""
    query = "INSERT INTO object_deletions (bucket, key, not_before) VALUES ('local', $1, now())"
    await database.statement(query, key)


async def reap_store(database: Database, store: BlobStore, cell: int = 0) -> int:
    """Deletes the objects of a store that are due; returns their number."""
    return await ObjectReaper(Databases(database), {store.bucket: store}, cell).reap_objects()


async def assert_deletes_nothing(database: Database, store: BlobStore) -> None:
    """Has those who would delete what the database has given up, or does not know, refuse that."""
    with pytest.raises(DomainError), capture_logs() as logs:
        await reap_store(database, store)
    assert "a store is that of another database" in logs[0]["event"]
    with pytest.raises(DomainError):
        await exhaust(Inventory(store, 0, DAY).queue_unknown_objects(database))
    assert REGISTRY.get_sample_value("dits_foreign_stores", {"bucket": "local"}) == 1
    assert await store.measure_object(KEY) == 4
    assert await database.fetch("SELECT key FROM object_deletions WHERE key <> $1", KEY) == []


async def stamps_of(database: Database) -> list[Any]:
    """The rows of what a database has written into stores."""
    rows = await database.fetch("SELECT store_id, stamps, stamped_at FROM store_stamps")
    return [tuple(row) for row in rows]


async def put_stamps(database: Database, rows: Sequence[Any]) -> None:
    """Makes the rows what they were."""
    await database.statement("DELETE FROM store_stamps")
    for row in rows:
        await database.statement("INSERT INTO store_stamps VALUES ($1, $2, $3)", *row)


async def leave_store(store: BlobStore) -> None:
    """Lets the servers of the owner have ended an hour ago."""
    database_id, stamp, _ = (await store.read_owner(0) or "").split()
    written_at = datetime.now(UTC) - timedelta(hours=1)
    text = f"{database_id} {stamp} {written_at.isoformat()}"
    await store.write_owner(0, text, is_first=False)


async def age_stamps(database: Database) -> None:
    """Lets two minutes pass."""
    await database.statement("UPDATE store_stamps SET stamped_at = stamped_at - interval '2 min'")
