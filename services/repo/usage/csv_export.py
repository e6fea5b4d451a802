"""Usage as CSV, by pages: no connection waits for the caller."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from services.repo.usage.days import Days
from services.repo.usage.subjects import Subject
from shared.db import sql
from shared.db.pool import Database, Row

Q = sql.load(__file__)

# At most 8,000 lines.
REPOSITORIES_PER_PAGE = 20

HEADINGS = (
    "day",
    "type",
    "id",
    "name",
    "requests",
    "received_bytes",
    "sent_bytes",
    "pushes",
    "pulls",
    "contributors",
    "logical_bytes",
    "stored_bytes",
    "apportioned_bytes",
)
_LOWEST = UUID(int=0)


async def export_usage(database: Database, subject: Subject, days: Days) -> AsyncIterator[bytes]:
    """Yields the file in parts of whole lines: the headings, the subject's days, those of what it owns."""
    own = await database.fetch(
        *Q.bind.days_of_entity(
            entity_type=subject.type,
            entity_id=subject.id,
            name=subject.name,
            first=days.first,
            last=days.last,
        )
    )
    yield _encode([HEADINGS]) + _encode(own)
    if subject.type == "repository":
        return
    after = _LOWEST
    while True:
        rows = await database.fetch(
            *Q.bind.days_of_owned(
                owner_type=subject.type,
                owner_id=subject.id,
                owner=subject.name,
                first=days.first,
                last=days.last,
                after=after,
                count=REPOSITORIES_PER_PAGE,
            )
        )
        if not rows:
            return
        after = rows[-1]["id"]
        if used := [row for row in rows if row["day"] is not None]:
            yield _encode(used)


def _encode(rows: Sequence[Sequence[object] | Row]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
