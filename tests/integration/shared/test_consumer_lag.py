"""How far consumers are behind is measured, and an alarm when it is too much."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from shared.db.pool import Databases
from shared.outbox.consumer import EventConsumer
from shared.outbox.consumer_lag import ConsumerLag
from shared.runtime import metrics
from tests.integration.schema.rows import NOBODY, Connection, connected
from tests.support.outbox import EMIT, Ledger, emit, ledger_database, process_all


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Connection]:
    async with ledger_database(dsn) as connection:
        yield connection


async def test_lag_is_the_age_of_the_oldest_event_that_is_unread(
    conn: Connection, databases: Databases
) -> None:
    quick, slow = [EventConsumer(name, databases, Ledger().handle) for name in ("quick", "slow")]
    await process_all(quick)
    await process_all(slow)
    await emit(conn, 2)
    await process_all(quick)
    await conn.execute("UPDATE events SET created_at = created_at - interval '20 minutes'")
    lag = ConsumerLag(databases)
    with capture_logs() as logs:
        lags = await lag.measure_lag()
        again = await lag.measure_lag()
    assert lags["quick"] == 0
    assert 1200 <= lags["slow"] < 1300
    assert [(entry["event"], entry["consumer"], entry["log_level"]) for entry in logs] == [
        ("a consumer of events is behind", "slow", "warning")
    ]
    assert metrics.EVENT_LAG_SECONDS.labels("slow")._value.get() == again["slow"]
    await process_all(slow)
    assert await lag.measure_lag() == {"quick": 0, "slow": 0}


async def test_a_cursor_from_another_database_is_an_alarm(
    conn: Connection, databases: Databases
) -> None:
    """As after a dump that was restored elsewhere."""
    await conn.execute("INSERT INTO event_cursors (consumer, xid) VALUES ('c', '1000000000')")
    with capture_logs() as logs:
        await ConsumerLag(databases).measure_lag()
    assert [entry["log_level"] for entry in logs] == ["error"]


async def test_what_an_open_transaction_holds_up_counts(
    conn: Connection, databases: Databases, dsn: str
) -> None:
    consumer = EventConsumer("c", databases, Ledger().handle)
    await process_all(consumer)
    async with connected(dsn) as other:
        old = other.transaction()
        await old.start()
        await other.execute("SELECT pg_current_xact_id()")
        await conn.execute(EMIT, NOBODY)
        await conn.execute("UPDATE events SET created_at = created_at - interval '1 hour'")
        await process_all(consumer)
        assert (await ConsumerLag(databases).measure_lag())["c"] >= 3600
