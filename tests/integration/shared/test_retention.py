"""Old rows of the shared tables go: in every process, one at a time, and none that a consumer needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from dits.common.v1.job_pb2 import MaintainPartitionsPayload

from shared.db.pool import Database
from shared.jobs.retention import (
    PartitionMaintenance,
    purge_events,
    purge_jobs,
    purge_request_ids,
)
from shared.runtime.config import Settings
from tests.integration.schema.rows import Connection, connected, until
from tests.support.jobs import do_job

ADD_EVENTS = """
    SELECT emit_event('push', NULL, NULL, NULL, '{}') FROM generate_series(1, $1::int)
"""
AGE_EVENTS = "UPDATE events SET created_at = created_at - interval '30 days 1 second'"
ADD_KEY = """
    INSERT INTO idempotency_keys (method, subject, request_id, fingerprint, created_at)
    VALUES ('m', 's', $1, '', clock_timestamp() - $2::text::interval)
"""
SETTLED = "SELECT (SELECT count(*) FROM settled_events) = (SELECT count(*) FROM events)"


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Connection]:
    async with connected(dsn) as connection:
        yield connection


async def purge_tables(database: Database, batch: int = 10_000) -> None:
    """Does what the jobs of both tables do."""
    for purge in (purge_events(batch), purge_request_ids(batch)):
        assert [count async for count in purge.delete_batches(database)]


async def count(conn: Connection, table: str) -> int:
    found: int = await conn.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def add_old_events(conn: Connection, number: int) -> None:
    """Events from before 30 days that consumers may read."""
    await conn.execute(ADD_EVENTS, number)
    await conn.execute(AGE_EVENTS)
    await until(conn, SETTLED)


async def test_events_go_after_thirty_days_however_many(
    conn: Connection, database: Database
) -> None:
    await add_old_events(conn, 25)
    await conn.execute(ADD_EVENTS, 5)
    await until(conn, SETTLED)
    await purge_tables(database, 10)
    assert await count(conn, "events") == 5
    last = await conn.fetchrow("SELECT xid, id FROM event_horizon")
    first = await conn.fetchrow("SELECT xid, id FROM events ORDER BY xid, id LIMIT 1")
    assert last is not None
    assert first is not None
    assert last["id"] == first["id"] - 1


async def test_no_event_goes_that_a_consumer_has_yet_to_read(
    conn: Connection, database: Database
) -> None:
    await add_old_events(conn, 20)
    await conn.execute("INSERT INTO event_cursors (consumer) VALUES ('slow')")
    await conn.execute(
        "INSERT INTO event_cursors (consumer, xid, id) SELECT 'quick', xid, id FROM events WHERE id = 15"
    )
    await purge_tables(database, 4)
    assert await count(conn, "events") == 20
    await conn.execute(
        """UPDATE event_cursors SET (xid, id) = (SELECT xid, id FROM events WHERE id = 7)
           WHERE consumer = 'slow'"""
    )
    await purge_tables(database, 4)
    assert await conn.fetchval("SELECT min(id) FROM events") == 8
    assert await conn.fetchval("SELECT id FROM event_horizon") == 7
    await conn.execute("DELETE FROM event_cursors")
    await purge_tables(database, 4)
    assert await count(conn, "events") == 0


async def test_request_ids_go_after_a_day_however_many(
    conn: Connection, database: Database
) -> None:
    for _ in range(25):
        await conn.execute(ADD_KEY, uuid4(), "24 hours 1 second")
    await conn.execute(ADD_KEY, uuid4(), "23 hours 59 minutes")
    await purge_tables(database, 10)
    assert await count(conn, "idempotency_keys") == 1


@pytest.mark.parametrize(
    ("table", "purge"),
    [("events", "purge_events"), ("idempotency_keys", "purge_idempotency_keys")],
)
async def test_one_statement_deletes_a_batch(conn: Connection, table: str, purge: str) -> None:
    await add_old_events(conn, 5)
    for _ in range(5):
        await conn.execute(ADD_KEY, uuid4(), "2 days")
    assert await conn.fetchval(f"SELECT {purge}(interval '1 hour', 3)") == 3
    assert await count(conn, table) == 2
    assert await conn.fetchval(f"SELECT {purge}(interval '1 hour', 3)") == 2
    assert await conn.fetchval(f"SELECT {purge}(interval '1 hour', 3)") == 0


@pytest.mark.parametrize("table", ["events", "idempotency_keys"])
async def test_one_process_purges_a_table_at_a_time(
    conn: Connection, database: Database, table: str
) -> None:
    await add_old_events(conn, 1)
    await conn.execute(ADD_KEY, uuid4(), "2 days")
    other = {"events", "idempotency_keys"} - {table}
    turn = conn.transaction()
    await turn.start()
    await conn.execute("SELECT pg_advisory_xact_lock(advisory_key('retention', $1))", table)
    await purge_tables(database)
    assert await count(conn, table) == 1
    assert await count(conn, other.pop()) == 0
    await turn.rollback()
    await purge_tables(database)
    assert await count(conn, table) == 0


async def test_many_processes_do_not_disturb_each_other(
    conn: Connection, database: Database
) -> None:
    await add_old_events(conn, 40)
    for _ in range(40):
        await conn.execute(ADD_KEY, uuid4(), "2 days")
    await asyncio.gather(*(purge_tables(database, 3) for _ in range(4)))
    await purge_tables(database)
    assert [await count(conn, table) for table in ("events", "idempotency_keys")] == [0, 0]


ADD_JOB = """
    INSERT INTO jobs (queue, job_type, payload, status, completed_at)
    VALUES ('auth', 'purge_events', '{}', $1, now() - $2::text::interval) RETURNING id
"""
BURY = """
    INSERT INTO dead_letter_jobs (original_job_id, queue, job_type, payload, error, retry_count, failed_at)
    SELECT id, queue, job_type, payload, 'no', 1, completed_at FROM jobs WHERE status = 'failed'
"""


async def test_jobs_go_after_a_week_and_failed_ones_with_their_dead_letters(
    conn: Connection, database: Database
) -> None:
    for status in ("completed", "cancelled", "failed"):
        for age in ("6 days 23 hours", "7 days 1 hour", "91 days"):
            await conn.execute(ADD_JOB, status, age)
    await conn.execute("SELECT enqueue_job('auth', 'purge_events', '{}')")
    await conn.execute("UPDATE jobs SET created_at = now() - interval '1 year'")
    await conn.execute(BURY)
    assert [count async for count in purge_jobs(2).delete_batches(database)] == [2, 2, 1]
    left = await conn.fetch("SELECT status FROM jobs ORDER BY status, completed_at DESC")
    assert [row["status"] for row in left] == [
        "cancelled",
        "completed",
        "failed",
        "failed",
        "pending",
    ]
    assert await count(conn, "dead_letter_jobs") == 2


async def test_months_are_made_ahead_and_dropped_by_the_settings(
    conn: Connection, database: Database, settings: Settings
) -> None:
    months = "SELECT count(*) FROM pg_inherits WHERE inhparent = $1::regclass"
    old = "CREATE TABLE {0}_{1} PARTITION OF {0} FOR VALUES FROM ('{2}-01') TO ('{3}-01')"
    for table in ("audit_log", "usage_metrics"):
        await conn.execute(old.format(table, "2020_01", "2020-01", "2020-02"))
    kept = settings.model_copy(update={"audit_months": 2})
    await do_job(database, MaintainPartitionsPayload(), PartitionMaintenance(kept).handle)
    # The default partition, this month, and three more.
    assert await conn.fetchval(months, "audit_log") == 5
    assert await conn.fetchval(months, "usage_metrics") == 6
    row = await do_job(database, MaintainPartitionsPayload(), PartitionMaintenance(kept).handle)
    assert row["result"] == "{}"
