"""What the database holds of usage."""

from __future__ import annotations

from uuid import UUID

import asyncpg

AMOUNTS = "api_requests, received_bytes, sent_bytes, push_count, pull_count"
USAGE = f"""
    SELECT entity_type, entity_id, {AMOUNTS} FROM usage_metrics
    WHERE metric_date = (clock_timestamp() AT TIME ZONE 'UTC')::date
"""


async def read_usage(dsn: str) -> dict[tuple[str, UUID], tuple[int, ...]]:
    """Returns today's usage by entity."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(USAGE)
    finally:
        await connection.close()
    return {(row["entity_type"], row["entity_id"]): tuple(row)[2:] for row in rows}
