"""Claiming reads what it claims, however much waits, and whether or not the planner has statistics."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest

from services.repo.webhooks import attempts, deliveries
from tests.integration.schema.rows import Connection, add_repo, add_webhook

MINUTE = timedelta(minutes=1)
# Each webhook fills some five hundred pages, and its indexes as many.
WAITING = 10_000
FEW = 150

FILL = """
    INSERT INTO webhook_deliveries (webhook_id, delivery_id, attempt, event, event_id, payload,
                                    scheduled_at, state, success)
    SELECT $1, gen_random_uuid(), 1, 'push', gen_random_uuid(), '{}',
           now() + (n - $2) * interval '1 second',
           CASE WHEN n % 2 = 0 THEN 'succeeded' ELSE 'pending' END, CASE WHEN n % 2 = 0 THEN TRUE END
    FROM generate_series(1, 2 * $2) n
"""


async def count_pages(conn: Connection, query: str, *arguments: Any) -> int:
    transaction = conn.transaction()
    await transaction.start()
    text = await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *arguments)
    await transaction.rollback()
    plan = json.loads(text)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("is_analyzed", [False, True])
async def test_rounds_read_little(conn: Connection, is_analyzed: bool) -> None:
    repo = await add_repo(conn)
    webhook, other = await add_webhook(conn, repo), await add_webhook(conn, repo)
    for one in (webhook, other):
        await conn.execute(FILL, one, WAITING)
    if is_analyzed:
        await conn.execute("VACUUM ANALYZE webhook_deliveries")
    Q = attempts.Q  # noqa: N806
    claim = Q.bind.claim_attempts(
        webhook_id=webhook, job_id=uuid.uuid4(), active=True, limit=4, bytes=1000
    )
    for query, *arguments in (
        (Q.lock_webhook, webhook, MINUTE),
        (Q.lost_attempts, webhook, MINUTE),
        (Q.count_under_way, webhook),
        claim,
        (Q.next_wait, webhook, MINUTE),
        (Q.end_attempts, webhook, "off", 1),
    ):
        pages = await count_pages(conn, query, *arguments)
        assert pages <= FEW, (query.splitlines()[0], pages)


async def test_a_page_of_deliveries_reads_a_page(conn: Connection) -> None:
    webhook = await add_webhook(conn, await add_repo(conn))
    await conn.execute(FILL, webhook, WAITING)
    await conn.execute("VACUUM ANALYZE webhook_deliveries")
    query = deliveries.Q.bind.list_deliveries(
        webhook_id=webhook, created_at=None, delivery_id=None, count=20
    )
    assert await count_pages(conn, *query) <= FEW
