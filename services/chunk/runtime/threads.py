"""Work that would hold up the event loop: hashing, decompression, files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# A thread of these waits for the disk most of the time.
_DISK_THREADS = 16


def disk_threads() -> ThreadPoolExecutor:
    """Threads for reading and writing files."""
    return ThreadPoolExecutor(_DISK_THREADS, "disk")


def cpu_threads() -> ThreadPoolExecutor:
    """Threads for hashing and decompression, both of which release the GIL: one per CPU."""
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), "cpu")


async def in_thread(
    pool: ThreadPoolExecutor,
    work: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Runs `work` in a thread; if the caller is cancelled, waits until it has ended or not begun.

    A thread cannot be stopped. Were it left behind, its caller would close the file under it, and
    it would go on writing into whatever file got the same descriptor.
    """
    job = pool.submit(work, *args, **kwargs)
    try:
        return await asyncio.wrap_future(job)
    except asyncio.CancelledError:
        while not job.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({asyncio.wrap_future(job)})
        raise
