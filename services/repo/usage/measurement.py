"""Measures what repositories and their owners store, and makes the billing snapshots, once for each day."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import date, timedelta
from functools import partial
from uuid import UUID

from services.repo.usage.days import Days
from shared.db import sql
from shared.db.pool import Connection, Database

Q = sql.load(__file__)

# How many missed days are made up for: events, by which contributors are counted, are kept for 30.
MISSED_DAYS = 28
# So many repositories, owners or organisations in one transaction.
BATCH = 20
# A process that was cut off for longer may record a batch twice.
WRITER_DAYS = 31

_LOWEST = UUID(int=0)


async def measure_usage(database: Database, cell: int) -> AsyncGenerator[int, None]:
    """Measures all days up to yesterday that are missing, and yields how many rows were made, by batches.

    A missed day has the storage of the moment when it is made up for. May be repeated, also at once.
    """
    today: date = (await database.fetch(Q.today))[0]["today"]
    days = Days(today - timedelta(days=MISSED_DAYS), today - timedelta(days=1))
    for owner_type in ("organization", "user"):
        async for made in _measure_repositories(database, owner_type, days):
            yield made
        async for made in _measure_owners(database, owner_type, days):
            yield made
    async for made in _make_snapshots(database, cell, days):
        yield made
    await database.statement(Q.purge_writers, timedelta(days=WRITER_DAYS))


async def _measure_repositories(
    database: Database, owner_type: str, days: Days
) -> AsyncIterator[int]:
    """Measures owner by owner: what the repositories of one share is divided among them."""
    after = _LOWEST
    while rows := await database.fetch(Q.next_owners, owner_type, after, BATCH):
        owners = [row["owner_id"] for row in rows]
        found = await database.fetch(Q.repositories_of, owner_type, owners)
        ids = [row["id"] for row in found]
        yield await database.transaction(partial(_measure_batch, ids=ids, days=days))
        after = owners[-1]


async def _measure_batch(connection: Connection, ids: list[UUID], days: Days) -> int:
    await connection.execute(Q.allow_time)
    return len(await connection.fetch(Q.measure_repositories, ids, days.first, days.last))


async def _measure_owners(database: Database, owner_type: str, days: Days) -> AsyncIterator[int]:
    after = _LOWEST
    while rows := await database.fetch(Q.next_owners, owner_type, after, BATCH):
        ids = [row["owner_id"] for row in rows]
        query = Q.measure_owners, owner_type, ids, days.first, days.last
        yield len(await database.statement(*query))
        after = ids[-1]


async def _make_snapshots(database: Database, cell: int, days: Days) -> AsyncIterator[int]:
    after = _LOWEST
    while rows := await database.fetch(Q.next_organizations, cell, after, BATCH):
        ids = [row["owner_id"] for row in rows]
        yield len(await database.statement(Q.make_snapshots, ids, days.first, days.last))
        after = ids[-1]
