"""A dump that was restored elsewhere has events and cursors of transactions that are not there yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from migrations.files import MigrationError
from migrations.restored import adopt_restored
from services.database import check_schema
from shared.db.pool import Databases
from shared.outbox.consumer import EventConsumer
from tests.integration.schema.rows import Connection
from tests.integration.test_server_command import run
from tests.support.outbox import Ledger, emit, ledger_database, process_all

# The numbers of another server, which has seen more transactions.
AGED = [
    f"UPDATE {table} SET xid = (xid::text::bigint + 1000000000)::text::xid8"
    for table in ("events", "event_cursors", "event_horizon")
]


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Connection]:
    async with ledger_database(dsn) as connection:
        yield connection


async def restore(conn: Connection) -> None:
    """Makes the outbox what it is after a dump was restored into a new server."""
    for statement in AGED:
        await conn.execute(statement)


async def test_each_consumer_goes_on_where_it_was(
    dsn: str, conn: Connection, databases: Databases
) -> None:
    quick, slow = Ledger(), Ledger()
    consumers = [
        EventConsumer(name, databases, ledger.handle)
        for name, ledger in (("quick", quick), ("slow", slow))
    ]
    for consumer in consumers:
        await process_all(consumer)
    read = await emit(conn, 2)
    for consumer in consumers:
        await process_all(consumer)
    unread_by_slow = await emit(conn, 2)
    await process_all(consumers[0])
    unread = await emit(conn, 1)
    await restore(conn)

    assert await adopt_restored(dsn)
    new = await emit(conn, 2)
    for consumer in consumers:
        await process_all(consumer)
    for ledger in (quick, slow):
        seen = [event for batch in ledger.calls for event in batch]
        assert seen == [*read, *unread_by_slow, *unread, *new]
    assert not await adopt_restored(dsn)


async def test_nothing_serves_before_it_is_adopted(
    dsn: str, conn: Connection, tmp_path: Path
) -> None:
    await check_schema(dsn)
    await restore(conn)  # only the horizon: there are neither events nor consumers
    with pytest.raises(MigrationError, match=r"restored from a dump.*: run `dits-server migrate`"):
        await check_schema(dsn)
    done = run("migrate", cwd=tmp_path, DITS_DATABASE_URL=dsn)
    assert "the events of the restored dump have numbers of this server now" in done.stdout
    await check_schema(dsn)
    again = run("migrate", cwd=tmp_path, DITS_DATABASE_URL=dsn)
    assert again.stdout == "the database is up to date\n"
