"""Consumers of the outbox: each sees every event once, in the order of the outbox.

What a consumer makes of events is written in the transaction that moves its cursor, so a crash neither
loses an event nor doubles it. The lock on the row of the cursor makes the consumer single: of several
processes one works, the others come back later. A new consumer begins with what commits from its first
round on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeAlias

import asyncpg
import structlog

from shared.db import sql
from shared.db.pool import RETRIED, Connection, Database, Databases, Row
from shared.outbox.change_signal import ChangeSignal
from shared.outbox.stored_event import StoredEvent
from shared.runtime import metrics
from shared.runtime.background import BackgroundTask
from shared.runtime.waiting import wait_for_event

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

Handle: TypeAlias = Callable[[Connection, Sequence[StoredEvent]], Awaitable[None]]

POLL_SECONDS = 1.0
# How many events are handled in one transaction at most.
BATCH = 100
# What a small batch has less of: bytes of payload, and so many more for each event.
SMALL_BATCH = 64 << 10
EVENT_BYTES = SMALL_BATCH // (BATCH // 2)
# How long a batch may take, and an event by itself. The transaction may be idle for longer.
BATCH_SECONDS = 10.0
EVENT_SECONDS = 60.0
# The pauses between the attempts at an event; after one more attempt it is dead. About two minutes.
RETRY_DELAYS = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16, 32, 60))
# What passes by itself, and says nothing about the event.
PASSING = (*RETRIED, asyncpg.InsufficientResourcesError, asyncpg.ReadOnlySQLTransactionError)


class EventConsumer:
    """One reader of the outbox of each database, with a cursor under its name.

    `handle` gets up to `batch` events and the transaction in which to act on them; it must have effects
    nowhere else. Events of an unknown kind come from a later release. If `handle` raises, the batch is
    halved until the event is alone that it fails at. That event is tried again after `retry_delays`;
    meanwhile no later event is handled. Then it becomes a row of `dead_events`, and the consumer goes on.
    """

    def __init__(
        self,
        name: str,
        databases: Databases,
        handle: Handle,
        *,
        signal: ChangeSignal | None = None,
        batch: int = BATCH,
        retry_delays: Sequence[timedelta] = RETRY_DELAYS,
        gather_seconds: float = 0,
        turn: Callable[[Database], Awaitable[None]] | None = None,
    ) -> None:
        """`signal` wakes the consumer at once; without it, it looks every second.

        `gather_seconds`: how long events may gather after a batch that was small. `turn` waits
        until it is this consumer's turn to handle the next batch of a database.
        """
        self.name = name
        self._databases = databases
        self._handle = handle
        self._signal = signal
        self._batch = batch
        self._retry_delays = retry_delays
        self._gather_seconds = gather_seconds
        self._turn = turn
        self._was_small = False
        # How many events of a database are tried at once, where that is less than a batch.
        self._sizes: dict[Database, int] = {}

    def task(self) -> BackgroundTask:
        """Returns what a service runs in the background."""
        return BackgroundTask(
            f"consume events: {self.name}", self._follow_events, self._gather_seconds
        )

    async def process_events(self) -> bool:
        """Handles the next batch of each database; returns whether there may be more at once."""
        has_more = False
        for database in self._databases.every():
            has_more |= await self._process_database(database)
        return has_more

    async def _follow_events(self) -> None:
        """Handles all there is, then waits until something happens."""
        if self._signal is None:
            await self._process_all()
            await asyncio.sleep(POLL_SECONDS)
            return
        with self._signal.watch_all() as changed:
            await self._process_all()
            await wait_for_event(changed, POLL_SECONDS)

    async def _process_all(self) -> None:
        while await self.process_events():
            if self._was_small:
                await asyncio.sleep(self._gather_seconds)

    async def _process_database(self, database: Database) -> bool:
        """Does without a transaction where nothing has happened, which is most of the time."""
        row = await database.fetchrow(Q.look_ahead, self.name)
        if row is None:
            await database.statement(Q.create_cursor, self.name)
            log.info("a new consumer of events begins", consumer=self.name)
            return False
        if row["has_requeued"] and await database.transaction(self._handle_requeued):
            return True
        if not row["is_due"]:
            return False
        if self._turn is not None:
            await self._turn(database)
        size = self._sizes.get(database, self._batch)
        has_more, size = await database.transaction(
            lambda connection: self._handle_batch(connection, size)
        )
        self._sizes[database] = min(size, self._batch)
        return has_more

    async def _handle_batch(self, connection: Connection, size: int) -> tuple[bool, int]:
        """Handles up to `size` events; returns whether to go on at once, and the next size."""
        cursor = await connection.fetchrow(Q.lock_cursor, self.name)
        if cursor is None:
            return False, size
        most = 1 if cursor["failures"] else size
        rows = await connection.fetch(Q.next_events, cursor["xid"], cursor["id"], most)
        events = [StoredEvent.of(row) for row in rows]
        self._was_small = sum(EVENT_BYTES + len(event.payload) for event in events) < SMALL_BATCH
        if not events:
            return False, size
        try:
            seconds = BATCH_SECONDS if len(events) > 1 else EVENT_SECONDS
            async with asyncio.timeout(seconds), connection.transaction():
                await self._handle(connection, events)
        except PASSING:
            raise
        except Exception as error:
            if connection.is_closed():
                raise
            log.warning(
                "a consumer of events failed",
                consumer=self.name,
                event_id=events[0].position.event_id,
                count=len(events),
                attempt=cursor["failures"] + 1,
                exc_info=error,
            )
            metrics.EVENTS_CONSUMED.labels(self.name, "failed").inc(len(events))
            return await self._note_failure(connection, cursor, events, error)
        await self._move_cursor(connection, events[-1])
        metrics.EVENTS_CONSUMED.labels(self.name, "done").inc(len(events))
        return True, len(events) * 2 if len(events) == most else self._batch

    async def _note_failure(
        self, connection: Connection, cursor: Row, events: Sequence[StoredEvent], error: Exception
    ) -> tuple[bool, int]:
        """Arranges what comes after a failure; returns whether to go on at once, and the next size."""
        if len(events) > 1:
            return True, len(events) // 2
        failures = cursor["failures"]
        if failures < len(self._retry_delays):
            await connection.execute(Q.postpone, self.name, self._retry_delays[failures])
            return False, 1
        await connection.execute(
            Q.bury_event, self.name, events[0].position.event_id, repr(error)[:1000]
        )
        await self._move_cursor(connection, events[0])
        metrics.EVENTS_CONSUMED.labels(self.name, "dead").inc()
        log.error(
            "an event is dead: it is kept in dead_events",
            consumer=self.name,
            event_id=events[0].position.event_id,
            type=events[0].name,
        )
        return True, 1

    async def _handle_requeued(self, connection: Connection) -> bool:
        """Handles a dead event that was requeued, out of its order; returns whether there was one."""
        row = await connection.fetchrow(Q.lock_requeued, self.name)
        if row is None:
            return False
        event = StoredEvent.of(row)
        event_id = event.position.event_id
        try:
            async with asyncio.timeout(EVENT_SECONDS), connection.transaction():
                await self._handle(connection, [event])
        except PASSING:
            raise
        except Exception as error:
            if connection.is_closed():
                raise
            log.warning(
                "a dead event failed again", consumer=self.name, event_id=event_id, exc_info=error
            )
            await connection.execute(Q.bury_again, self.name, event_id, repr(error)[:1000])
            return True
        await connection.execute(Q.forget_dead_event, self.name, event_id)
        metrics.EVENTS_CONSUMED.labels(self.name, "done").inc()
        return True

    async def _move_cursor(self, connection: Connection, event: StoredEvent) -> None:
        _, xid, event_id = event.position
        await connection.execute(Q.move_cursor, self.name, xid, event_id)
