"""The release of commits that no branch or tag has reached for a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from uuid import UUID

from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)

# Commits that one transaction looks at. Who pushes to the repository may wait for its end.
BATCH = 200


async def find_due_repositories(database: Database, age: timedelta, count: int) -> list[UUID]:
    """Returns repositories that a ref left `age` ago, or whose directories have yet to be searched."""
    rows = await database.fetch(Q.find_due, age, count)
    return [row["repo_id"] for row in rows]


async def release_commits(
    database: Database, repository_id: UUID, age: timedelta
) -> AsyncGenerator[int, None]:
    """Deletes the commits that no ref has reached for `age`; yields how many each transaction deleted."""
    looked = BATCH
    while looked:
        [row] = await database.statement(Q.release_commits, repository_id, age, BATCH)
        looked = row["looked"]
        if looked:
            yield row["released"]


async def read_release_time(database: Database, repository_id: UUID) -> datetime | None:
    """Returns when commits went last since when directories have not been searched; None = none did."""
    row = await database.fetchrow(Q.read_release_time, repository_id)
    return row["released_at"] if row else None


async def forget_release(database: Database, repository_id: UUID, released_at: datetime) -> None:
    """Notes that nothing is left of commits that went up to a time."""
    await database.statement(Q.forget_release, repository_id, released_at)
