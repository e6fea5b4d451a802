"""Usage in the schema: batches add up, each once."""

from __future__ import annotations

import asyncio
import uuid

from tests.integration.schema.rows import NOBODY, Connection, rows
from tests.support.waiting import until_blocked

RECORD = """
    SELECT record_usage($1, $2, ARRAY(
        SELECT ROW (day::date, 'repository', id, 1, received, sent, 1, 2)::usage_amounts
        FROM unnest($3::text[], $4::uuid[], $5::int[], $6::int[]) AS a (day, id, received, sent)))
"""


async def test_usage_adds_up_by_entity_and_day(conn: Connection) -> None:
    writer, others, days = uuid.uuid4(), uuid.uuid4(), ["2026-02-28", "2026-03-01"]
    await conn.execute(RECORD, writer, 0, days, [NOBODY, others], [10, 20], [1, 2])
    await conn.execute(RECORD, writer, 1, days[1:], [others], [5], [6])
    usage = await rows(
        conn,
        "SELECT entity_id, metric_date::text, bandwidth_bytes, received_bytes, sent_bytes, api_requests,"
        " push_count, pull_count FROM usage_metrics ORDER BY metric_date",
    )
    assert usage == [
        (NOBODY, "2026-02-28", 11, 10, 1, 1, 1, 2),
        (others, "2026-03-01", 33, 25, 8, 2, 2, 4),
    ]


async def test_requests_count_as_far_as_they_can(conn: Connection) -> None:
    writer, today = uuid.uuid4(), ["2026-02-28"]
    await conn.execute(RECORD, writer, 0, today, [NOBODY], [0], [0])
    await conn.execute("UPDATE usage_metrics SET api_requests = 2147483647")
    await conn.execute(RECORD, writer, 1, today, [NOBODY], [0], [0])
    usage = await rows(conn, "SELECT api_requests, push_count FROM usage_metrics")
    assert usage == [(2147483647, 2)]


async def test_a_batch_of_usage_is_recorded_once(conn: Connection, other: Connection) -> None:
    writer, another = uuid.uuid4(), uuid.uuid4()
    first = other.transaction()
    await first.start()
    await other.execute(RECORD, writer, 7, ["2026-02-28"], [NOBODY], [10], [1])
    again = asyncio.create_task(
        conn.execute(RECORD, writer, 7, ["2026-02-28"], [NOBODY], [10], [1])
    )
    await until_blocked(other)
    await first.commit()
    await again
    await conn.execute(RECORD, writer, 6, ["2026-02-28"], [NOBODY], [10], [1])
    await conn.execute(RECORD, another, 7, ["2026-02-28"], [NOBODY], [10], [1])
    assert await conn.fetchval("SELECT received_bytes FROM usage_metrics") == 20
    assert await conn.fetchval("SELECT count(*) FROM usage_writers") == 2
