"""Consumers that are killed at any moment, while transactions commit in any order: counts by id."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain

from shared.outbox.consumer import EventConsumer
from tests.integration.schema.rows import NOBODY, connected, until
from tests.support.outbox import (
    EMIT,
    SETTLED,
    Ledger,
    emit,
    ledger_database,
    process_all,
    seen,
)
from tests.support.scratch_databases import open_databases
from tests.support.waiting import PATIENCE_SECONDS

WRITERS = 4
# Transactions that have written down what they saw.
HELD = "SELECT pid FROM pg_locks WHERE relation = 'seen'::regclass AND mode = 'RowExclusiveLock'"
POINTS = ["begin", "end", "commit", "commit"]


@asynccontextmanager
async def running_consumer(dsn: str, point: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A consumer in a process of its own, which is killed at the end if it still lives."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.consumer_process", dsn, point
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def write_events(dsn: str, rng: random.Random, stop: asyncio.Event) -> list[int]:
    """Emits events in transactions that take their number early and commit late; those committed."""
    committed: list[int] = []
    async with connected(dsn) as connection:
        while not stop.is_set():
            transaction = connection.transaction()
            await transaction.start()
            if rng.random() < 0.5:
                await connection.execute("SELECT pg_current_xact_id()")
            await asyncio.sleep(rng.uniform(0, 0.02))
            ids = [await connection.fetchval(EMIT, NOBODY) for _ in range(rng.randint(1, 3))]
            await asyncio.sleep(rng.choice([0, 0, 0.05]))
            if rng.random() < 0.1:
                await transaction.rollback()
            else:
                await transaction.commit()
                committed += ids
    return committed


async def test_no_event_is_lost_or_doubled(dsn: str) -> None:
    stop = asyncio.Event()
    rng = random.Random(9)
    async with ledger_database(dsn) as conn, open_databases(dsn) as databases:
        await process_all(EventConsumer("c", databases, Ledger().handle))
        writers = [
            asyncio.create_task(write_events(dsn, random.Random(seed), stop))
            for seed in range(WRITERS)
        ]
        for point in POINTS:
            # Two at once: the other goes on where the first was killed.
            async with running_consumer(dsn, point) as one, running_consumer(dsn, "") as other:
                before = await conn.fetchval("SELECT count(*) FROM seen")
                async with asyncio.timeout(PATIENCE_SECONDS):
                    assert await one.wait() == -signal.SIGKILL
                await until(conn, f"SELECT count(*) > {before} FROM seen")
                await asyncio.sleep(rng.uniform(0, 0.05))
                other.kill()
        stop.set()
        committed = sorted(chain.from_iterable(await asyncio.gather(*writers)))
        await until(conn, SETTLED)
        await process_all(EventConsumer("c", databases, Ledger().handle))
        seen = [row["id"] for row in await conn.fetch("SELECT id FROM seen ORDER BY id")]
        order = await conn.fetch(
            "SELECT s.at FROM seen s JOIN events e USING (id) ORDER BY e.xid, e.id"
        )
    assert seen == committed
    # `at` is drawn from a sequence in the order of the work: what was undone leaves gaps, nothing else.
    assert [row["at"] for row in order] == sorted(row["at"] for row in order)


async def test_a_consumer_that_was_frozen_doubles_nothing(dsn: str) -> None:
    """Its transaction is ended, as PostgreSQL does by itself in time, and another does its batch."""
    async with ledger_database(dsn) as conn, open_databases(dsn) as databases:
        consumer = EventConsumer("c", databases, Ledger().handle)
        await process_all(consumer)
        ids = await emit(conn, 3)
        async with running_consumer(dsn, "freeze") as frozen:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.to_thread(os.waitid, os.P_PID, frozen.pid, os.WSTOPPED | os.WNOWAIT)
            await process_all(consumer)
            assert await seen(conn) == []
            await conn.execute(f"SELECT pg_terminate_backend(pid) FROM ({HELD})")
            await until(conn, f"SELECT NOT EXISTS ({HELD})")
            await process_all(consumer)
            assert await seen(conn) == ids
            frozen.send_signal(signal.SIGCONT)
            ids += await emit(conn, 2)
            await until(conn, "SELECT count(*) >= 5 FROM seen")
            assert frozen.returncode is None
        assert await seen(conn) == ids
