"""Random histories of the outbox: every reader sees what was committed, once and in one order.

Transactions take their number, write, commit or are undone in any order, while a consumer and streams read
after each step, the consumer at times through another process, the streams from their last cursor.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import pytest

from shared.db.pool import Database, Databases, Row
from shared.outbox import event_stream
from shared.outbox.change_signal import ChangeSignal
from shared.outbox.consumer import EventConsumer
from shared.outbox.event_stream import EventStream
from shared.outbox.stored_event import EventPosition
from shared.records.events import TYPES
from tests.integration.schema.rows import Connection, connected, until
from tests.support.outbox import (
    EMIT,
    SETTLED,
    Ledger,
    ledger_database,
    process_all,
    seen,
)

REPOSITORIES = [UUID(int=number) for number in (1, 2)]
WRITERS = 4
STEPS = 60


@dataclass(frozen=True, slots=True)
class AllEvents:
    """See EventScope: everybody sees everything."""

    repository_id: UUID | None
    names: frozenset[str] = frozenset(TYPES)
    pause_seconds: float = 0.0

    async def choose_visible(self, database: Database, heads: Sequence[Row]) -> Sequence[Row]:
        """Returns all of them."""
        del database
        return heads

    async def read_time(self, database: Database, clock: datetime) -> datetime:
        """Returns the database's time."""
        del database
        return clock


@dataclass(slots=True)
class Reader:
    """A stream that is begun again and again from where it was; the ids that it has seen."""

    scope: AllEvents
    position: EventPosition | None = None
    ids: list[int] = field(default_factory=list)

    async def read(self, stream: EventStream, database: Database) -> None:
        """Reads what comes before the next checkpoint."""
        moments = stream.follow_events(database, self.scope, self.position)
        async for position, _, event in moments:
            self.position = position
            if event is None:
                break
            self.ids.append(event.position.event_id)
        await moments.aclose()


class Writer:
    """A transaction that is under way, and what it has written."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.transaction = connection.transaction()
        self.ids: list[int] = []
        self.is_open = False

    async def step(self, rng: random.Random, committed: set[int]) -> None:
        """Does the next thing of a transaction."""
        if not self.is_open:
            self.transaction, self.is_open, self.ids = self.connection.transaction(), True, []
            await self.transaction.start()
            if rng.random() < 0.5:
                await self.connection.execute("SELECT pg_current_xact_id()")
        elif rng.random() < 0.6:
            repository = rng.choice(REPOSITORIES)
            self.ids.append(await self.connection.fetchval(EMIT, repository))
        else:
            await self.end(rng, committed)

    async def end(self, rng: random.Random, committed: set[int]) -> None:
        """Ends the transaction, mostly well."""
        if not self.is_open:
            return
        self.is_open = False
        if rng.random() < 0.2:
            await self.transaction.rollback()
        else:
            await self.transaction.commit()
            committed.update(self.ids)


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Connection]:
    async with ledger_database(dsn) as connection:
        yield connection


@pytest.mark.parametrize("seed", range(4))
async def test_readers_agree_whatever_happens(
    conn: Connection, databases: Databases, dsn: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "WINDOW", 3)
    monkeypatch.setattr(event_stream, "BATCH", 2)
    rng = random.Random(seed)
    consumers = [EventConsumer("c", databases, Ledger().handle, batch=2) for _ in range(2)]
    await process_all(consumers[0])
    database = databases.of(REPOSITORIES[0])
    # A checkpoint comes after each look.
    stream = EventStream(ChangeSignal(databases), checkpoint_seconds=0)
    readers = [Reader(AllEvents(None)), *(Reader(AllEvents(each)) for each in REPOSITORIES)]
    committed: set[int] = set()
    async with AsyncExitStack() as stack:
        writers = [Writer(await stack.enter_async_context(connected(dsn))) for _ in range(WRITERS)]
        for reader in readers:
            await reader.read(stream, database)
        for _ in range(STEPS):
            await rng.choice(writers).step(rng, committed)
            await rng.choice(readers).read(stream, database)
            if rng.random() < 0.3:
                await rng.choice(consumers).process_events()
        for writer in writers:
            await writer.end(rng, committed)
    await until(conn, SETTLED)
    await process_all(consumers[0])
    order = [row["id"] for row in await conn.fetch("SELECT id FROM events ORDER BY xid, id")]
    assert set(order) == committed
    assert await seen(conn) == order
    for reader in readers:
        for _ in order:
            await reader.read(stream, database)
        shown = [
            row["id"]
            for row in await conn.fetch("SELECT id, repo_id FROM events ORDER BY xid, id")
            if reader.scope.repository_id in (None, row["repo_id"])
        ]
        assert reader.ids == shown
