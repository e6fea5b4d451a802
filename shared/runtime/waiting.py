"""Waiting for something that may not come, and for what may not end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any

# Longer than to clean up usually takes, as a cancellation interrupts that, too.
_CANCEL_SECONDS = 3.0


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Waits until an event is set, but not for longer than `seconds`. Returns whether it is set.

    Not with asyncio.wait_for: in Python 3.11 it swallows a cancellation that comes together with the event,
    and the task that was to end goes on.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def end_tasks(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancels tasks until they have ended, and returns nothing of what they did.

    One cancellation is not enough: when it comes, a task closes its connection or rolls back, and if that
    fails, the task gets this error in place of the cancellation, and begins anew.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_CANCEL_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
