"""Follows an inbox: what comes into it, and how much of it is unread.

A hint wakes at once. A process that may have missed hints looks again, and each stream looks before each
sign of life.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple
from uuid import UUID

from services.auth.notifications.inbox import CHANNEL, fetch_news
from shared.db.listen import Listener
from shared.db.pool import Database, Row
from shared.errors import cursor_too_old
from shared.rpc.call import Caller
from shared.runtime.waiting import wait_for_event

CHECKPOINT_SECONDS = 15.0
# How many notifications are read in one go.
BATCH = 50


class InboxMoment(NamedTuple):
    """A notification (None = none came), the number after it, and how many are unread."""

    number: int
    unread: int
    notification: Row | None


class InboxSignal:
    """Who waits for changes of which inbox in this process."""

    def __init__(self, listener: Listener) -> None:
        self._signals: dict[UUID, set[asyncio.Event]] = {}
        listener.subscribe(CHANNEL, self._receive_hint)
        listener.subscribe_gaps(self._wake_all)

    @contextmanager
    def watch_inbox(self, user_id: UUID) -> Iterator[asyncio.Event]:
        """Yields a signal that is set whenever an inbox may have changed."""
        signal = asyncio.Event()
        signals = self._signals.setdefault(user_id, set())
        signals.add(signal)
        try:
            yield signal
        finally:
            signals.discard(signal)
            if not signals:
                self._signals.pop(user_id, None)

    def _receive_hint(self, payload: str) -> None:
        if not payload:
            self._wake_all()
            return
        with suppress(ValueError):
            for signal in self._signals.get(UUID(payload), ()):
                signal.set()

    def _wake_all(self) -> None:
        for signals in self._signals.values():
            for signal in signals:
                signal.set()


class InboxWatch:
    """Streams of what happens to inboxes."""

    def __init__(
        self,
        database: Database,
        signal: InboxSignal,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self._database = database
        self._signal = signal
        self._checkpoint_seconds = checkpoint_seconds

    async def follow_inbox(
        self, find_caller: Callable[[], Caller], number: int | None
    ) -> AsyncGenerator[InboxMoment, None]:
        """Yields what comes after a number (None = from now on): something at once, and in each silence.

        `find_caller` returns whose inbox it is, as it was last judged. Raises CURSOR_TOO_OLD if the inbox
        has never come as far as the number.
        """
        told, told_at = -1, float("-inf")
        with self._signal.watch_inbox(find_caller().user_id) as signal:
            while True:
                signal.clear()
                rows = await fetch_news(self._database, find_caller(), number, BATCH)
                last, unread = rows[0]["last_number"], rows[0]["unread"]
                if number is not None and number > last:
                    raise cursor_too_old()
                found = [row for row in rows if row["id"] is not None]
                for row in found:
                    number = row["number"]
                    yield InboxMoment(number, unread, row)
                    told, told_at = unread, time.monotonic()
                if len(found) == BATCH:
                    continue
                number = last
                left = told_at + self._checkpoint_seconds - time.monotonic()
                if unread != told or left <= 0:
                    yield InboxMoment(number, unread, None)
                    told, told_at = unread, time.monotonic()
                    left = self._checkpoint_seconds
                await wait_for_event(signal, left)
