"""What happens, in order and without gaps, for those who watch.

Positions are in the order of the outbox, and only events that have settled are read: none can
appear behind a position afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from shared.db import sql
from shared.db.pool import Database, Row
from shared.errors import cursor_too_old, dependency_unavailable
from shared.outbox.change_signal import ChangeSignal
from shared.outbox.stored_event import EventPosition, StoredEvent
from shared.rpc.byte_budget import ByteBudget, Hold
from shared.runtime.waiting import wait_for_event

Q = sql.load(__file__)

CHECKPOINT_SECONDS = 15.0
# How many events are looked at in one go, and how many of them are sent before rights are judged again.
WINDOW = 1000
BATCH = 100
BATCH_BYTES = 256 << 10
# Of payloads as they are stored. They unfold to a hundred times as much at most.
STORED_BYTES = 64 << 10
# What streams hold of large events until their callers take them: as text, as messages, on the wire.
HELD_BYTES = 256 << 20
HELD_FACTOR = 4
# Of payloads of a window; less is not counted.
COUNTED_BYTES = 64 << 10
# How long a judgement of rights holds while a slow caller takes what was read.
JUDGED_SECONDS = 2.0


class EventScope(Protocol):
    """Which events a stream shows."""

    @property
    def repository_id(self) -> UUID | None:
        """The only repository; None = those that `choose_visible` leaves."""

    @property
    def names(self) -> frozenset[str]:
        """Kinds of events."""

    @property
    def pause_seconds(self) -> float:
        """Least time from one look to the next, where nothing more was there."""

    async def choose_visible(self, database: Database, heads: Sequence[Row]) -> Sequence[Row]:
        """Returns which of some events the caller may see now, by their `type` and `repo_id`."""

    async def read_time(self, database: Database, clock: datetime) -> datetime:
        """Returns the time that messages carry, when the database's clock shows `clock`."""


class EventMoment(NamedTuple):
    """An event, or a checkpoint if `event` is None, and the position after it."""

    position: EventPosition
    server_time: datetime
    event: StoredEvent | None


@dataclass(frozen=True, slots=True)
class _Window:
    """What was read in one go.

    Attributes:
        events: those that are shown.
        end: the position after it.
        is_last: there was nothing more.
        read_at: when rights were judged, by `time.monotonic()`.
    """

    events: Sequence[StoredEvent]
    end: EventPosition
    is_last: bool
    server_time: datetime
    read_at: float

    @property
    def counted_bytes(self) -> int:
        """What it takes until it is sent; 0 = too little to be counted."""
        size = sum(len(event.payload) for event in self.events)
        return HELD_FACTOR * size if size > COUNTED_BYTES else 0


class EventStream:
    """Follows the outbox."""

    def __init__(
        self,
        signal: ChangeSignal,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        budget: ByteBudget | None = None,
    ) -> None:
        """`budget` counts what callers have yet to take."""
        self._signal = signal
        self._checkpoint_seconds = checkpoint_seconds
        self._budget = budget or ByteBudget(HELD_BYTES)

    async def follow_events(
        self,
        database: Database,
        scope: EventScope,
        position: EventPosition | None,
        holder: object = None,
    ) -> AsyncGenerator[EventMoment, None]:
        """Yields events as they settle, and checkpoints: one at the beginning, others in a silence.

        A position of None means from now on; `holder` is who takes them. Raises CURSOR_TOO_OLD if events
        behind the position are gone, or it is of another database, SERVER_BUSY if the holder leaves too
        many bytes, and DEPENDENCY_UNAVAILABLE when the server stops.
        """
        silent_since = float("-inf")
        with (
            self._signal.watch_repository(scope.repository_id) as signal,
            self._budget.hold(holder) as hold,
        ):
            while not self._signal.is_stopping:
                signal.clear()
                window = await _read_held_window(database, scope, position, hold)
                for event in window.events:
                    position = event.position
                    yield EventMoment(position, window.server_time, event)
                    silent_since = time.monotonic()
                    if silent_since - window.read_at > JUDGED_SECONDS:
                        break
                else:
                    position = window.end
                    if time.monotonic() - silent_since >= self._checkpoint_seconds:
                        yield EventMoment(position, window.server_time, None)
                        silent_since = time.monotonic()
                    hold.release(hold.size)
                    if window.is_last:
                        await asyncio.sleep(scope.pause_seconds)
                        checkpoint = silent_since + self._checkpoint_seconds
                        await wait_for_event(signal, checkpoint - time.monotonic())
        raise dependency_unavailable("server", "the server is stopping: go on from the last cursor")


async def _read_held_window(
    database: Database, scope: EventScope, position: EventPosition | None, hold: Hold
) -> _Window:
    """Returns what is next, once there is room for it; what waits for room is not held meanwhile."""
    while True:
        window = await _read_window(database, scope, position)
        missing = window.counted_bytes - hold.size
        if missing <= 0 or hold.try_grow(missing):
            return window
        del window
        await hold.grow(missing)


async def _read_window(
    database: Database, scope: EventScope, position: EventPosition | None
) -> _Window:
    """Returns what is next; its work is bounded by WINDOW and BATCH. Raises CURSOR_TOO_OLD."""
    read_at = time.monotonic()
    rows = await _fetch_heads(database, scope.repository_id, position)
    state, heads = rows[0], [row for row in rows if row["id"] is not None]
    wanted = [head for head in heads if head["type"] in scope.names]
    shown = await scope.choose_visible(database, wanted) if wanted else ()
    events = await _fetch_events(database, [head["id"] for head in _choose_batch(shown)])
    last = None
    if len(events) < len(shown):
        last = shown[len(events) - 1]
    elif len(heads) == WINDOW:
        last = heads[-1]
    place = (state["settled"], 0) if last is None else (last["xid"], last["id"])
    return _Window(
        events=events,
        end=EventPosition(state["database_id"], *place),
        is_last=last is None,
        server_time=await scope.read_time(database, state["server_time"]),
        read_at=read_at,
    )


async def _fetch_heads(
    database: Database, repository_id: UUID | None, position: EventPosition | None
) -> list[Row]:
    """Returns the next events without their payloads, at least one row; raises CURSOR_TOO_OLD."""
    database_id, xid, event_id = position or (None, None, None)
    place = {"database_id": database_id, "xid": xid, "event_id": event_id, "count": WINDOW}
    query = (
        Q.bind.next_of_all(**place)
        if repository_id is None
        else Q.bind.next_of_repository(repository_id=repository_id, **place)
    )
    rows = await database.fetch(*query)
    if rows[0]["is_lost"]:
        raise cursor_too_old()
    return rows


async def _fetch_events(database: Database, ids: list[int]) -> list[StoredEvent]:
    """Returns the first of some events, at least one if there are any. Raises CURSOR_TOO_OLD."""
    if not ids:
        return []
    events = [StoredEvent.of(row) for row in await database.fetch(Q.events, ids, BATCH_BYTES)]
    if not events or [event.position.event_id for event in events] != ids[: len(events)]:
        # They have been deleted since they were found.
        raise cursor_too_old()
    return events


def _choose_batch(heads: Sequence[Row]) -> Sequence[Row]:
    """Returns as many of the first events as may be sent in one go, at least one."""
    size = 0
    for count, head in enumerate(heads[:BATCH]):
        size += head["size"]
        if count and size > STORED_BYTES:
            return heads[:count]
    return heads[:BATCH]
