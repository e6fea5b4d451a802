"""Consumers of events: each event once and in order, and one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from dits.common.v1.event_pb2 import BranchPayload, EventType

from shared.db.listen import Listener
from shared.db.pool import Connection as Transaction
from shared.db.pool import Databases
from shared.jobs.retention import purge_events
from shared.outbox.change_signal import ChangeSignal
from shared.outbox.consumer import BATCH, EventConsumer
from shared.records.events import emit as emit_event
from shared.rpc.call import Call
from shared.runtime.background import BackgroundTask
from tests.integration.schema.rows import NOBODY, Connection, connected, until
from tests.support.outbox import (
    EMIT,
    SETTLED,
    Ledger,
    emit,
    ledger_database,
    process_all,
    seen,
)
from tests.support.waiting import PATIENCE_SECONDS


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Connection]:
    async with ledger_database(dsn) as connection:
        yield connection


async def test_a_new_consumer_begins_with_what_commits_from_then_on(
    conn: Connection, databases: Databases, dsn: str
) -> None:
    await emit(conn, 2)
    consumer = EventConsumer("new", databases, Ledger().handle)
    async with connected(dsn) as other:
        late = other.transaction()
        await late.start()
        under_way = await other.fetchval(EMIT, NOBODY)
        await process_all(consumer)
        await late.commit()
    await until(conn, SETTLED)
    after = await emit(conn)
    await process_all(consumer)
    assert await seen(conn) == [under_way, *after]


async def test_events_come_once_and_in_order_in_batches(
    conn: Connection, databases: Databases
) -> None:
    ledger = Ledger()
    consumer = EventConsumer("c", databases, ledger.handle, batch=4)
    await process_all(consumer)
    ids = await emit(conn, 10)
    await process_all(consumer)
    await process_all(EventConsumer("c", databases, ledger.handle))
    assert await seen(conn) == ids
    assert [len(call) for call in ledger.calls] == [4, 4, 2]


async def test_large_events_come_in_smaller_batches(conn: Connection, databases: Databases) -> None:
    ledger = Ledger()
    consumer = EventConsumer("c", databases, ledger.handle)
    await process_all(consumer)
    # Much less in storage.
    large = (
        "SELECT emit_event('push', NULL, NULL, NULL, jsonb_build_object('x', repeat('x', 400000)))"
    )
    for _ in range(4):
        await conn.execute(large)
    await until(conn, SETTLED)
    await process_all(consumer)
    assert [len(call) for call in ledger.calls] == [2, 2]
    assert len(await seen(conn)) == 4


async def test_the_order_is_that_of_numbers(conn: Connection, databases: Databases) -> None:
    consumer = EventConsumer("c", databases, Ledger().handle)
    await process_all(consumer)
    await conn.execute("UPDATE event_cursors SET xid = '0'")
    old = "INSERT INTO events (xid, type) VALUES ($1::text::xid8, 'push') RETURNING id"
    ids = [await conn.fetchval(old, xid) for xid in ("100", "99", "9")]
    await process_all(consumer)
    assert await seen(conn) == ids[::-1]


@pytest.mark.parametrize("late_first", [True, False])
async def test_late_commits_are_neither_lost_nor_doubled(
    conn: Connection, databases: Databases, dsn: str, late_first: bool
) -> None:
    """A transaction that takes its number early and commits late, and one that does the reverse."""
    consumer = EventConsumer("c", databases, Ledger().handle)
    await process_all(consumer)
    async with connected(dsn) as other:
        early, late = (other, conn) if late_first else (conn, other)
        slow = early.transaction()
        await slow.start()
        first = await early.fetchval(EMIT, NOBODY)
        second = await late.fetchval(EMIT, NOBODY)
        await process_all(consumer)
        assert await seen(conn) == []
        third = await early.fetchval(EMIT, NOBODY)
        await slow.commit()
    await until(conn, SETTLED)
    await process_all(consumer)
    assert await seen(conn) == [first, third, second]


async def test_two_processes_at_once_do_the_work_of_one(
    conn: Connection, databases: Databases
) -> None:
    ledgers = [Ledger() for _ in range(3)]
    consumers = [EventConsumer("c", databases, ledger.handle, batch=2) for ledger in ledgers]
    await process_all(consumers[0])
    ids = await emit(conn, 40)
    await asyncio.gather(*map(process_all, consumers))
    await process_all(consumers[0])
    assert await seen(conn) == ids


async def test_a_process_does_not_wait_for_another_that_is_at_it(
    conn: Connection, databases: Databases, dsn: str
) -> None:
    consumer = EventConsumer("c", databases, Ledger().handle)
    await process_all(consumer)
    ids = await emit(conn)
    async with connected(dsn) as other:
        turn = other.transaction()
        await turn.start()
        await other.execute("SELECT FROM event_cursors FOR UPDATE")
        assert not await consumer.process_events()
        await turn.rollback()
    await process_all(consumer)
    assert await seen(conn) == ids


async def test_no_event_goes_that_a_stopped_consumer_has_yet_to_read(
    conn: Connection, databases: Databases
) -> None:
    consumer = EventConsumer("c", databases, Ledger().handle)
    await process_all(consumer)
    ids = await emit(conn, 5)
    await process_all(consumer)
    ids += await emit(conn, 5)
    await conn.execute("UPDATE events SET created_at = created_at - interval '60 days'")
    await until(conn, SETTLED)
    database = databases.of(UUID(int=0))
    assert [count async for count in purge_events().delete_batches(database)]
    assert await conn.fetchval("SELECT count(*) FROM events") == 5
    await process_all(consumer)
    assert [count async for count in purge_events().delete_batches(database)]
    assert await seen(conn) == ids
    assert await conn.fetchval("SELECT count(*) FROM events") == 0


async def test_a_backlog_does_not_wait_for_more_events(
    conn: Connection, databases: Databases
) -> None:
    """Only after a small batch do events gather, here for ever."""
    ledger = Ledger()
    consumer = EventConsumer("c", databases, ledger.handle, gather_seconds=3600)
    await process_all(consumer)
    ids = await emit(conn, BATCH + 1)
    running = asyncio.create_task(consumer.task().run())
    await until(conn, f"SELECT count(*) = {BATCH + 1} FROM seen")
    last = await emit(conn)
    await process_all(EventConsumer("c", databases, ledger.handle))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert ledger.calls == [ids[:BATCH], ids[BATCH:], last]


async def test_an_event_wakes_a_consumer(
    conn: Connection, databases: Databases, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its notification: the consumer does not look by itself for an hour."""
    monkeypatch.setattr("shared.outbox.consumer.POLL_SECONDS", 3600.0)
    database, listener, signal = databases.of(NOBODY), Listener(dsn), ChangeSignal(databases)
    consumer = EventConsumer("c", databases, Ledger().handle, signal=signal)
    sender = BackgroundTask("send hints", database.hints.send_hints, 0)
    signal.receive_hints(listener)
    listener.start()
    running = [asyncio.create_task(task.run()) for task in (consumer.task(), sender)]

    async def work(connection: Transaction) -> None:
        kind, payload = EventType.EVENT_TYPE_BRANCH_CREATED, BranchPayload(branch="b")
        await emit_event(connection, Call("/test", "test"), kind, NOBODY, payload)

    try:
        # Listening begins at some moment, and so does the consumer; every event after that is told.
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await seen(conn):
                await database.transaction(work)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await listener.stop()
