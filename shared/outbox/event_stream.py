"""What happens to the locks of a repository, in order and without gaps.

Positions are in the order of the outbox, and only events that have settled are read: none can
appear behind a position afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.db import sql
from shared.db.pool import Databases, Row
from shared.errors import cursor_too_old
from shared.outbox.change_signal import ChangeSignal
from shared.outbox.cursors import EventPosition

Q = sql.load(__file__)

CHECKPOINT_SECONDS = 15.0
BATCH = 100


class EventMoment(NamedTuple):
    """An event, or a checkpoint if `event` is None, and the position after it."""

    position: EventPosition
    server_time: datetime
    event: Row | None


class LockEventStream:
    """Follows the outbox."""

    def __init__(
        self,
        databases: Databases,
        signal: ChangeSignal,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self._databases = databases
        self._signal = signal
        self._checkpoint_seconds = checkpoint_seconds

    async def follow_events(
        self, repository_id: UUID, position: EventPosition | None
    ) -> AsyncGenerator[EventMoment, None]:
        """Yields events as they settle, and checkpoints: one at the beginning, others in a silence.

        A position of None means from now on. Raises CURSOR_TOO_OLD if events behind the position
        are gone, or it is of another database.
        """
        silent_since = float("-inf")
        with self._signal.watch_repository(repository_id) as signal:
            while True:
                signal.clear()
                rows = await self._fetch_events(repository_id, position)
                events = [row for row in rows if row["id"] is not None]
                for row in events:
                    position = EventPosition(row["database_id"], row["xid"], row["id"])
                    yield EventMoment(position, row["server_time"], row)
                    silent_since = time.monotonic()
                if len(events) == BATCH:
                    continue
                position = EventPosition(rows[0]["database_id"], rows[0]["settled"], 0)
                if time.monotonic() - silent_since >= self._checkpoint_seconds:
                    yield EventMoment(position, rows[0]["server_time"], None)
                    silent_since = time.monotonic()
                await _wait(signal, silent_since + self._checkpoint_seconds - time.monotonic())

    async def _fetch_events(self, repository_id: UUID, position: EventPosition | None) -> list[Row]:
        """Returns the next events, at least one row; raises CURSOR_TOO_OLD."""
        database_id, xid, event_id = position or (None, None, None)
        rows = await self._databases.of(repository_id).fetch(
            *Q.bind.lock_events(
                repository_id=repository_id, database_id=database_id, xid=xid, event_id=event_id
            )
        )
        if rows[0]["is_lost"]:
            raise cursor_too_old()
        return rows


async def _wait(signal: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(signal.wait(), seconds)
