"""Memory of a server process: one heap, whose free parts go back; garbage is collected at leisure."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from typing import Protocol
from weakref import WeakSet

from shared.runtime.background import BackgroundTask

_PAUSE_SECONDS = 2.0
# From malloc.h. Only glibc has these functions, and only there they are needed.
_M_ARENA_MAX = -8
_LIBC = ctypes.CDLL(None)
_mallopt = getattr(_LIBC, "mallopt", None)
_malloc_trim = getattr(_LIBC, "malloc_trim", None)

# Two generations are collected as ever. The third has all objects that live long, a million for a few large
# pushes: to look through them stops every thread for a quarter of a second.
_THRESHOLDS = (700, 10, 1_000_000)
_COLLECT_SECONDS = 10.0
_COLLECT_AT_LAST_SECONDS = 600.0
_MANY_BYTES = 32 << 20


class Holder(Protocol):
    """What holds bytes for callers, in many objects."""

    held: int


_HOLDERS: WeakSet[Holder] = WeakSet()


def consider_holder(holder: Holder) -> None:
    """Lets the search for garbage wait while the holder holds much."""
    _HOLDERS.add(holder)


def use_one_heap() -> None:
    """Makes all threads share one heap; to be called before there are others.

    The allocator gives back only what is free in the first heap. Of each of the others, up to 64 MiB stay.
    """
    if _mallopt is not None:
        _mallopt(_M_ARENA_MAX, 1)


class MemoryKeeper:
    """Gives free memory back again and again, and looks for garbage in cycles.

    It waits with the latter as long as a holder holds much, but no more than ten minutes.
    """

    def __init__(self) -> None:
        self._collected = time.monotonic()

    def task(self) -> BackgroundTask:
        """Takes over from the interpreter; returns what has to run from now on."""
        # What is there already lives as long as the process.
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        return BackgroundTask("memory", self._keep, _PAUSE_SECONDS)

    async def _keep(self) -> None:
        are_many = sum(holder.held for holder in _HOLDERS) > _MANY_BYTES
        pause = _COLLECT_AT_LAST_SECONDS if are_many else _COLLECT_SECONDS
        if time.monotonic() - self._collected > pause:
            await asyncio.to_thread(gc.collect)
            self._collected = time.monotonic()
        if _malloc_trim is not None:
            await asyncio.to_thread(_malloc_trim, 0)
