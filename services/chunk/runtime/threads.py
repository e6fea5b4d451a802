"""Threads for work that would block the event loop: hashing, decompression, files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# Such a thread waits for the disk most of the time.
_DISK_THREADS = 16


def make_disk_threads() -> ThreadPoolExecutor:
    """Returns threads that read and write files."""
    return ThreadPoolExecutor(_DISK_THREADS, "disk")


def make_cpu_threads() -> ThreadPoolExecutor:
    """Returns threads for hashing and decompression, which release the GIL: one per CPU."""
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), "cpu")


async def run_in_thread(
    pool: ThreadPoolExecutor,
    work: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Returns what `work` returns in a thread.

    A cancelled caller waits until the work has ended, or is taken out of the queue: a thread cannot be
    stopped. If it were left behind, the caller would close the file that it writes, and it would write
    into the next file with the same descriptor.
    """
    job = pool.submit(work, *args, **kwargs)
    try:
        return await asyncio.wrap_future(job)
    except asyncio.CancelledError:
        while not job.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({asyncio.wrap_future(job)})
        raise
