"""The audit log that the tests tamper with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from tests.integration.schema.rows import Connection
from tests.support.audit_chain import ROW


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[Connection]:
    """The owner of the tables, whom no trigger stops; three sealed rows are in a month, one in the next."""
    connection = await asyncpg.connect(dsn)
    for number in range(3):
        await connection.execute(ROW, datetime(2020, 2, 10 + number, tzinfo=UTC), f"a{number}")
    await connection.execute("SELECT ensure_month_partitions(0)")
    await connection.execute(ROW, datetime(2020, 3, 1, tzinfo=UTC), "b")
    await connection.fetchval("SELECT seal_audit_rows(10)")
    for table in ("audit_log", "audit_log_default", "audit_log_2020_02"):
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    yield connection
    await connection.close()
