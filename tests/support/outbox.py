"""What the tests of consumers share: a consumer that writes down what it sees, and events for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from shared.db.pool import Connection as Transaction
from shared.outbox.consumer import EventConsumer
from shared.outbox.stored_event import StoredEvent
from tests.integration.schema.rows import NOBODY, Connection, connected, until

EMIT = "SELECT emit_event('push', $1, NULL, NULL, '{}')"
# The consumers of the running services are done with all events.
CONSUMED = """SELECT NOT EXISTS (
    SELECT FROM events e JOIN event_cursors c ON (c.xid, c.id) < (e.xid, e.id))"""
SETTLED = "SELECT (SELECT count(*) FROM settled_events) = (SELECT count(*) FROM events)"


class Ledger:
    """What a consumer makes of events: a row each. It fails at those that are told to."""

    def __init__(self) -> None:
        self.bad: set[int] = set()
        self.calls: list[list[int]] = []

    async def handle(self, connection: Transaction, events: Sequence[StoredEvent]) -> None:
        """Writes down the events, then fails if one of them is bad."""
        ids = [event.position.event_id for event in events]
        self.calls.append(ids)
        await connection.execute("INSERT INTO seen SELECT unnest($1::bigint[])", ids)
        if self.bad & set(ids):
            raise ValueError("a bad event")


@asynccontextmanager
async def ledger_database(dsn: str) -> AsyncIterator[Connection]:
    """A session in a database with a place for what consumers see."""
    async with connected(dsn) as connection:
        await connection.execute(
            "CREATE TABLE seen (id BIGINT, at BIGINT GENERATED ALWAYS AS IDENTITY)"
        )
        yield connection


async def emit(conn: Connection, count: int = 1) -> list[int]:
    """Events that consumers may read; their ids."""
    ids = [int(await conn.fetchval(EMIT, NOBODY)) for _ in range(count)]
    await until(conn, SETTLED)
    return ids


async def seen(conn: Connection) -> list[int]:
    return [row["id"] for row in await conn.fetch("SELECT id FROM seen ORDER BY at")]


async def process_all(consumer: EventConsumer) -> None:
    while await consumer.process_events():
        pass
