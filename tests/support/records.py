"""Holds what a test has written into the shared tables against the closed lists."""

from __future__ import annotations

import asyncpg

from shared.records.audit import AuditAction


async def check_records(dsn: str) -> None:
    """Fails if the database has an audit row whose action is not in the list."""
    connection = await asyncpg.connect(dsn)
    try:
        audited = await connection.fetch("SELECT DISTINCT action FROM audit_log")
    finally:
        await connection.close()
    assert {row["action"] for row in audited} <= set(AuditAction)
