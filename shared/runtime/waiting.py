"""Waiting for something that may not come."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Waits until an event is set, but not for longer than `seconds`. Returns whether it is set.

    Not with asyncio.wait_for: in Python 3.11 it swallows a cancellation that comes together with the event,
    and the task that was to end goes on.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
