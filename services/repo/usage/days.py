"""Ranges of days, as requests give them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from shared.errors import invalid_field

MAX_DAYS = 400
DEFAULT_DAYS = 30
# asyncpg takes the last day of the year 9999 for infinity.
LEAST, MOST = date(2000, 1, 1), date(2999, 12, 31)

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Days:
    """Days in UTC, both ends included."""

    first: date
    last: date

    @classmethod
    def parse(cls, first_day: str, last_day: str) -> Days:
        """Returns the range of a request; by default the 30 days up to today. Raises INVALID_FIELD."""
        last = _parse("last_day", last_day) if last_day else datetime.now(UTC).date()
        default = max(last - timedelta(days=DEFAULT_DAYS - 1), LEAST)
        first = _parse("first_day", first_day) if first_day else default
        if first > last:
            raise invalid_field("first_day", f"must not be after {last}")
        if last - first >= timedelta(days=MAX_DAYS):
            raise invalid_field("first_day", f"must be less than {MAX_DAYS} days before {last}")
        return cls(first, last)


def _parse(field: str, text: str) -> date:
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not LEAST <= day <= MOST:
        raise invalid_field(field, f"must be a day from {LEAST} to {MOST}")
    return day
