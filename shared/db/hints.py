"""Hints to the other processes, sent after the transaction that gives reason for them.

A NOTIFY holds a lock of the whole database while its transaction commits, so hints are gathered, and many
share one short transaction. A hint may be lost: who waits for one also polls.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from shared.db import sql

Q = sql.load(__file__)

# A channel and a payload.
Hint: TypeAlias = tuple[str, str]
# Runs one statement with its parameters.
Fetch: TypeAlias = Callable[..., Awaitable[object]]

# Hints within this time share a notification.
GATHER_SECONDS = 0.02

_gathered: ContextVar[set[Hint] | None] = ContextVar("gathered", default=None)


def hint_after_commit(channel: str, payload: str) -> None:
    """Sends a hint once the transaction of `Database.transaction` has committed; without one, nothing."""
    hints = _gathered.get()
    if hints is not None:
        hints.add((channel, payload))


@contextmanager
def gather_hints() -> Iterator[set[Hint]]:
    """Yields the set that takes the hints of the block."""
    hints: set[Hint] = set()
    token = _gathered.set(hints)
    try:
        yield hints
    finally:
        _gathered.reset(token)


class Hints:
    """The hints that this process has to send to those who listen on a database."""

    def __init__(self, fetch: Fetch) -> None:
        """Takes what runs statements in that database."""
        self._fetch = fetch
        self._waiting: set[Hint] = set()
        self._receivers: dict[str, list[Callable[[str], None]]] = defaultdict(list)
        self._has_some = asyncio.Event()

    def subscribe(self, channel: str, receive: Callable[[str], None]) -> None:
        """Calls `receive` with the payload of each hint of this process on the channel, at once.

        It comes once more as a notification.
        """
        self._receivers[channel].append(receive)

    def add(self, hints: Collection[Hint]) -> None:
        """Gives hints to this process at once, and to the others soon."""
        self._waiting.update(hints)
        for channel, payload in hints:
            for receive in self._receivers.get(channel, ()):
                receive(payload)
        if self._waiting:
            self._has_some.set()

    async def send_hints(self) -> None:
        """Waits until there are hints and sends them; the next ones come a moment later."""
        await self._has_some.wait()
        hints, self._waiting = self._waiting, set()
        self._has_some.clear()
        channels, payloads = zip(*hints, strict=True)
        await self._fetch(Q.notify, list(channels), list(payloads))
        await asyncio.sleep(GATHER_SECONDS)
