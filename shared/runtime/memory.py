"""Memory of a server process: one heap, whose free parts go back; garbage is collected at leisure."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import time
from pathlib import Path

from shared.runtime.background import BackgroundTask

_PAUSE_SECONDS = 2.0
_STATM = Path("/proc/self/statm")
# From malloc.h. Only glibc has these functions, and only there they are needed.
_M_ARENA_MAX = -8
_LIBC = ctypes.CDLL(None)
_mallopt = getattr(_LIBC, "mallopt", None)
_malloc_trim = getattr(_LIBC, "malloc_trim", None)

# Two generations are collected as ever. The third has all objects that live long, a million for a few large
# pushes: to look through them stops every thread for a quarter of a second.
_THRESHOLDS = (700, 10, 1_000_000)
_COLLECT_SECONDS = 30.0
_COLLECT_AT_LAST_SECONDS = 600.0
_MUCH_BYTES = 64 << 20


def use_one_heap() -> None:
    """Makes all threads share one heap; to be called before there are others.

    The allocator gives back only what is free in the first heap. Of each of the others, up to 64 MiB stay.
    """
    if _mallopt is not None:
        _mallopt(_M_ARENA_MAX, 1)


class MemoryKeeper:
    """Gives free memory back again and again, and looks for garbage in cycles.

    It waits with the latter as long as the process holds much more memory than in the beginning, but no
    more than ten minutes.
    """

    def __init__(self) -> None:
        self._first_bytes = _read_resident_bytes()
        self._collected = time.monotonic()

    def task(self) -> BackgroundTask:
        """Takes over from the interpreter; returns what has to run from now on."""
        # What is there already lives as long as the process.
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        return BackgroundTask("memory", self._keep, _PAUSE_SECONDS)

    async def _keep(self) -> None:
        is_much = _read_resident_bytes() > self._first_bytes + _MUCH_BYTES
        pause = _COLLECT_AT_LAST_SECONDS if is_much else _COLLECT_SECONDS
        if time.monotonic() - self._collected > pause:
            await asyncio.to_thread(gc.collect)
            self._collected = time.monotonic()
        if _malloc_trim is not None:
            await asyncio.to_thread(_malloc_trim, 0)


def _read_resident_bytes() -> int:
    """Returns the memory that the process holds; 0 where the system does not tell."""
    if not _STATM.exists():
        return 0
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
