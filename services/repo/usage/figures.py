"""The figures of usage, by period."""

from __future__ import annotations

from dits.repo.v1 import usage_service_pb2 as pb

from services.repo.usage.days import Days
from services.repo.usage.subjects import Subject
from shared.db import sql
from shared.db.pool import Database, Row
from shared.errors import invalid_field

Q = sql.load(__file__)

_UNITS = {
    pb.GRANULARITY_UNSPECIFIED: "day",
    pb.GRANULARITY_DAY: "day",
    pb.GRANULARITY_WEEK: "week",
    pb.GRANULARITY_MONTH: "month",
}


def parse_granularity(granularity: pb.Granularity.ValueType) -> str:
    """Returns the unit of periods as PostgreSQL calls it. Raises INVALID_FIELD."""
    if granularity not in _UNITS:
        raise invalid_field("granularity", "is not a known value")
    return _UNITS[granularity]


async def add_up_usage(
    database: Database, subject: Subject, days: Days, unit: str
) -> pb.GetUsageResponse:
    """Returns the figures of each period, and of all days."""
    *periods, total = await database.fetch(
        *Q.bind.figures(
            entity_type=subject.type,
            entity_id=subject.id,
            first=days.first,
            last=days.last,
            unit=unit,
        )
    )
    return pb.GetUsageResponse(periods=map(_message, periods), total=_message(total))


def _message(row: Row) -> pb.UsagePeriod:
    figures = pb.UsageFigures(
        requests=row["requests"],
        received_bytes=row["received_bytes"],
        sent_bytes=row["sent_bytes"],
        pushes=row["pushes"],
        pulls=row["pulls"],
        contributors=row["contributors"],
        storage_day=str(row["storage_day"] or ""),
        logical_bytes=row["logical_bytes"] or 0,
        stored_bytes=row["stored_bytes"] or 0,
        apportioned_bytes=row["apportioned_bytes"] or 0,
    )
    return pb.UsagePeriod(
        first_day=str(row["first_day"]), last_day=str(row["last_day"]), figures=figures
    )
