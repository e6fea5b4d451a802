"""A sealed audit log to tamper with, and what the check says of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from services.admin.audit_chain import Head, LogReport, MonthReport, verify_log
from shared.db.pool import Database
from tests.integration.schema.rows import Connection

MONTH, NEXT = date(2020, 2, 1), date(2020, 3, 1)
ROW = """
INSERT INTO audit_log ("timestamp", actor_type, action, resource_type, resource_id, details, ip_address)
VALUES ($1, 'system', $2, 'r', '1', '{"b": [1, "ä"], "a": null}', '2001:db8::/32') RETURNING id"""


async def verify(
    database: Database, expected: Mapping[date, Head] | None = None
) -> tuple[LogReport, MonthReport]:
    """The whole report, and that of the month; the next month is intact whatever was done to this one."""
    report = await verify_log(database, expected or {})
    months = {month.month: month for month in report.months}
    assert NEXT not in months or months[NEXT].fault is None
    assert report.is_intact == all(month.fault is None for month in report.months)
    return report, months[MONTH]


async def ids(owner: Connection) -> list[str]:
    rows = await owner.fetch(
        "SELECT row_id FROM audit_seals WHERE month = $1 ORDER BY position", MONTH
    )
    return [str(row["row_id"]) for row in rows]
