"""Memory that is free inside the process goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes

from shared.runtime.background import BackgroundTask

_PAUSE_SECONDS = 2.0
# Only glibc has it, and only there it is needed.
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def trim_task() -> BackgroundTask:
    """Returns the task that gives memory back again and again.

    The allocator keeps what large messages have left in pieces: after some large pushes, half a gigabyte.
    """
    return BackgroundTask("memory", _trim, _PAUSE_SECONDS)


async def _trim() -> None:
    if _malloc_trim is not None:
        await asyncio.to_thread(_malloc_trim, 0)
