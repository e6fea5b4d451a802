"""What Watch shows: events of one repository about its locks, at the time of the locks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.db import sql
from shared.db.pool import Database, Row
from shared.records.events import TYPES

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class LockEvents:
    """See EventScope; the chain sees to it that the caller may read the repository."""

    repository_id: UUID
    names: frozenset[str] = frozenset(name for name in TYPES if name.startswith("lock."))
    pause_seconds: float = 0.0

    async def choose_visible(self, database: Database, heads: Sequence[Row]) -> Sequence[Row]:
        """Returns all of them."""
        del database
        return heads

    async def read_time(self, database: Database, clock: datetime) -> datetime:
        """Returns the time of the repository's locks, which never goes back."""
        row = await database.fetchrow(Q.lock_time, self.repository_id, clock)
        assert row is not None  # noqa: S101  a SELECT without FROM
        time: datetime = row["time"]
        return time
