"""The clock of the database, by which everything expires."""

from __future__ import annotations

from datetime import datetime

from shared.db import sql
from shared.db.pool import Connection, Database

Q = sql.load(__file__)


async def read_clock(source: Database | Connection) -> datetime:
    """Returns the time of a database, as of now and not of the begin of the transaction."""
    row = await source.fetchrow(Q.read_clock)
    assert row is not None  # noqa: S101  a SELECT without FROM
    now: datetime = row["now"]
    return now
