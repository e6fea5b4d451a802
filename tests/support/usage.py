"""What the tests of usage share: an organisation, rows, and what the database holds."""

from __future__ import annotations

import csv
from typing import Any
from uuid import UUID

import asyncpg
from dits.repo.v1 import usage_service_pb2 as pb

from tests.support.api import Account, Api

FIRST, LAST = "2026-01-30", "2026-02-02"
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


async def add_organization(api: Api, owner: Account, name: str = "studio") -> UUID:
    """Makes an organisation and returns its id."""
    org_id: UUID = await api.value(
        """WITH o AS (INSERT INTO organizations (name, display_name) VALUES ($2, $2) RETURNING id),
                m AS (INSERT INTO organization_members (org_id, user_id, role)
                      SELECT id, $1, 'owner' FROM o)
           SELECT id FROM o""",
        owner.id,
        name,
    )
    return org_id


async def add_usage(
    api: Api, entity_type: str, entity_id: UUID, day: str, requests: int, stored: int | None = None
) -> None:
    """Adds a day; other figures are small multiples of the requests. `stored` None = not measured."""
    await api.fetch(
        """INSERT INTO usage_metrics (entity_type, entity_id, metric_date, api_requests, received_bytes,
                sent_bytes, bandwidth_bytes, push_count, pull_count, unique_contributors,
                storage_bytes, logical_bytes, apportioned_bytes, measured_at)
           SELECT $1, $2, $3::text::date, $4::int, 2 * $4, 3 * $4, 5 * $4, 4 * $4, 5 * $4, $4,
                  coalesce($5, 0), 2 * coalesce($5, 0), coalesce($5, 0) / 2,
                  CASE WHEN $5::bigint IS NOT NULL THEN now() END""",
        entity_type,
        entity_id,
        day,
        requests,
        stored,
    )


async def export(api: Api, who: Account, **request: Any) -> list[list[str]]:
    """ExportUsage of FIRST to LAST: the cells of all lines."""
    asked = pb.ExportUsageRequest(first_day=FIRST, last_day=LAST, **request)
    parts = [part.csv async for part in api.usage.ExportUsage(asked, metadata=who.auth)]
    text = b"".join(parts).decode()
    assert text.count("\r\n") == text.count("\n")
    return list(csv.reader(text.splitlines()))
