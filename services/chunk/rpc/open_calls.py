"""Calls that must clear up when they end, and the wait for them when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

# How long a stopping server gives broken calls to clear up.
_WAIT_SECONDS = 5.0


class OpenCalls:
    """The calls of one server that are not cleared up yet."""

    def __init__(self) -> None:
        self._count = 0
        self._clearing: set[asyncio.Task[None]] = set()
        self._all_ended = asyncio.Event()
        self._all_ended.set()

    def add_call(self) -> None:
        """Counts a call that has begun."""
        self._count += 1
        self._all_ended.clear()

    async def end_call(self, clear_up: Coroutine[Any, Any, None]) -> None:
        """Clears up after a call, to the end: cancelling the caller does not cancel it."""
        clearing = asyncio.create_task(clear_up)
        self._clearing.add(clearing)
        clearing.add_done_callback(self._ended)
        await asyncio.shield(clearing)

    async def wait_for_ends(self) -> None:
        """Waits until all calls have ended and cleared up, at most five seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_ended.wait(), _WAIT_SECONDS)

    def _ended(self, clearing: asyncio.Task[None]) -> None:
        self._clearing.discard(clearing)
        self._count -= 1
        if self._count == 0:
            self._all_ended.set()
