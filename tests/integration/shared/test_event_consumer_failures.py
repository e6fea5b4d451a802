"""Consumers of events that fail: what passes is tried again, what does not is buried."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from shared.db.pool import Connection as Transaction
from shared.db.pool import Databases
from shared.errors import DomainError
from shared.outbox.consumer import EventConsumer
from shared.outbox.dead_events import drop_events, list_dead_events, requeue_events
from shared.outbox.stored_event import StoredEvent
from tests.integration.schema.rows import NOBODY, Connection
from tests.support.outbox import (
    Ledger,
    emit,
    ledger_database,
    process_all,
    seen,
)

AT_ONCE = [timedelta(0)] * 3


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Connection]:
    async with ledger_database(dsn) as connection:
        yield connection


async def test_one_bad_event_is_found_tried_again_and_buried(
    conn: Connection, databases: Databases
) -> None:
    ledger = Ledger()
    consumer = EventConsumer("c", databases, ledger.handle, retry_delays=AT_ONCE)
    await process_all(consumer)
    ids = await emit(conn, 50)
    bad = ids[30]
    ledger.bad = {bad}
    for _ in range(4):
        await process_all(consumer)
    assert await seen(conn) == [each for each in ids if each != bad]
    assert ledger.calls.count([bad]) == len(AT_ONCE) + 1
    [dead] = await conn.fetch("SELECT * FROM dead_events")
    assert (dead["consumer"], dead["id"], dead["repo_id"]) == ("c", bad, NOBODY)
    assert dead["error"] == "ValueError('a bad event')"
    assert await conn.fetchval("SELECT failures FROM event_cursors") == 0


async def test_a_dead_event_is_requeued_or_dropped(conn: Connection, databases: Databases) -> None:
    ledger = Ledger()
    consumer = EventConsumer("c", databases, ledger.handle, retry_delays=[])
    await process_all(consumer)
    first, second, third = await emit(conn, 3)
    ledger.bad = {first, second}
    await process_all(consumer)
    [database] = databases.every()
    assert [dead.number for dead in await list_dead_events(database)] == [first, second]
    await conn.execute("DELETE FROM event_cursors WHERE consumer <> 'c'")
    purge = "SELECT purge_events(interval '0', 10)"
    assert await conn.fetchval(purge) == 1
    ledger.bad = {second}
    await requeue_events(database, "c", [second, first])
    await process_all(consumer)
    # One has failed again, and waits to be requeued again.
    assert await seen(conn) == [third, first]
    [dead] = await list_dead_events(database, "c")
    assert (dead.number, dead.is_requeued, dead.error) == (
        second,
        False,
        "ValueError('a bad event')",
    )
    for change, consumer_name, numbers in (
        (requeue_events, "c", [second, first]),
        (requeue_events, "d", [second]),
        (drop_events, "c", [second, third]),
    ):
        with pytest.raises(DomainError, match="not found"):
            await change(database, consumer_name, numbers)
    await drop_events(database, "c", [second])
    assert await list_dead_events(database) == []
    assert await conn.fetchval(purge) == 2
    audited = (
        "SELECT action || ' ' || (details ->> 'consumer') FROM audit_log ORDER BY \"timestamp\""
    )
    actions = [row[0] for row in await conn.fetch(audited)]
    assert actions == ["event.requeued c"] * 2 + ["event.dropped c"]


async def test_a_failure_that_passes_loses_nothing(conn: Connection, databases: Databases) -> None:
    ledger = Ledger()
    consumer = EventConsumer("c", databases, ledger.handle, retry_delays=AT_ONCE)
    await process_all(consumer)
    ids = await emit(conn, 5)
    ledger.bad = {ids[0]}
    await process_all(consumer)
    ledger.bad = set()
    await process_all(consumer)
    assert await seen(conn) == ids
    assert await conn.fetchval("SELECT count(*) FROM dead_events") == 0


async def test_the_next_attempt_comes_in_its_time_in_every_process(
    conn: Connection, databases: Databases
) -> None:
    ledger = Ledger()
    delays = [timedelta(hours=1)]
    consumer = EventConsumer("c", databases, ledger.handle, retry_delays=delays)
    await process_all(consumer)
    ledger.bad = set(await emit(conn))
    await process_all(consumer)
    await process_all(EventConsumer("c", databases, ledger.handle, retry_delays=delays))
    assert len(ledger.calls) == 1
    await conn.execute("UPDATE event_cursors SET retry_at = retry_at - interval '1 hour'")
    await process_all(consumer)
    assert len(ledger.calls) == 2


async def test_a_handler_that_hangs_is_a_failure(
    conn: Connection, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.outbox.consumer.EVENT_SECONDS", 0.05)

    async def hang(connection: Transaction, events: Sequence[StoredEvent]) -> None:
        await connection.execute("SELECT pg_sleep(60)")

    consumer = EventConsumer("c", databases, hang, retry_delays=[])
    await process_all(consumer)
    [event] = await emit(conn)
    await process_all(consumer)
    assert await conn.fetchval("SELECT id FROM dead_events") == event


async def test_a_broken_connection_says_nothing_about_the_event(
    conn: Connection, databases: Databases
) -> None:
    broken: list[Sequence[StoredEvent]] = []

    async def break_once(connection: Transaction, events: Sequence[StoredEvent]) -> None:
        if not broken:
            broken.append(events)
            await conn.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        await Ledger().handle(connection, events)

    consumer = EventConsumer("c", databases, break_once, retry_delays=[])
    await process_all(consumer)
    ids = await emit(conn)
    with pytest.raises(Exception, match="connection"):
        await process_all(consumer)
    await process_all(consumer)
    assert await seen(conn) == ids
