"""Waiting for what can be seen in the database, never for time to pass."""

from __future__ import annotations

import asyncio
from datetime import datetime

import asyncpg

# How long to wait for what must come. Only a test that fails waits so long: on a machine that has other
# work, anything may take its time.
PATIENCE_SECONDS = 90.0


async def until_blocked(connection: asyncpg.Connection[asyncpg.Record], times: int = 1) -> None:
    """Returns when so many transactions of this database, one after another, have waited for a lock."""
    seen: set[datetime] = set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(seen) < times:
            waiting = await connection.fetch(
                "SELECT xact_start FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            seen |= {row["xact_start"] for row in waiting}
