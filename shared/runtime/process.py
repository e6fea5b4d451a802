"""Life of a server process."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

from shared.runtime.memory import MemoryKeeper, use_one_heap


def prepare_process() -> None:
    """Sets up a process that is going to serve; to be called before there are threads."""
    use_one_heap()
    # So often do threads that work let the event loop have its turn; with the usual 5 ms, it waits that
    # long for each of them.
    sys.setswitchinterval(0.001)


async def serve_until_signal(stop: Callable[[], Awaitable[None]]) -> None:
    """Waits for SIGTERM or SIGINT, then drains; a second signal ends the waiting at once.

    Until then it looks after the memory of the process.
    """
    keeping = asyncio.create_task(MemoryKeeper().task().run())
    try:
        await _stop_at_signal(stop)
    finally:
        keeping.cancel()


async def _stop_at_signal(stop: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    await asked.wait()
    asked.clear()
    stopping = asyncio.ensure_future(stop())
    impatient = asyncio.create_task(asked.wait())
    await asyncio.wait({stopping, impatient}, return_when=asyncio.FIRST_COMPLETED)
    impatient.cancel()
    if stopping.done():
        stopping.result()
    else:
        stopping.cancel()
