"""Life of a server process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from shared.runtime.memory import MemoryKeeper, use_one_heap

# Threads that compute wait for each other anyway. The event loop may wait for each of them whenever it
# wants the interpreter back, and for as long as a call into C lasts, as to parse a message of 16 MiB.
_THREADS = 2


class StartError(Exception):
    """The server cannot start; the text is one sentence for the operator."""


def cannot_listen(what: str, host: str, port: int, option: str) -> StartError:
    """Whoever binds a port learns no more of why it failed than this says."""
    return StartError(
        f"{what} on {host}:{port}: another program has the port, if only for a connection of its own "
        f"(choose one with {option}), or this machine has no such address (--host)."
    )


def prepare_process() -> None:
    """Sets up a process that is going to serve; to be called before there are threads."""
    use_one_heap()
    # So often do threads that work let the event loop have its turn; with the usual 5 ms, it waits that
    # long for each of them.
    sys.setswitchinterval(0.001)


def limit_threads(loop: asyncio.AbstractEventLoop) -> None:
    """Lets no more than two threads work beside the loop; further work waits for its turn."""
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, "work"))


def lower_priority(nice: int) -> None:
    """Lets other processes have the processors first; `nice` is 0 to 19."""
    os.nice(nice)
    if os.getsid(0) == os.getpid():
        # Linux may schedule sessions as groups, between which only the group's own value counts.
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(nice))


async def serve_until_signal(
    stop: Callable[[], Awaitable[None]], *, ends_with_stdin: bool = False
) -> None:
    """Waits for SIGTERM or SIGINT, then drains; a second signal ends the waiting at once.

    Until then it looks after the memory of the process. `ends_with_stdin`: the end of standard input, a
    pipe, is such a signal, too.
    """
    keeping = asyncio.create_task(MemoryKeeper().task().run())
    try:
        await _stop_at_signal(stop, ends_with_stdin)
    finally:
        keeping.cancel()


async def _stop_at_signal(stop: Callable[[], Awaitable[None]], ends_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    if ends_with_stdin:
        loop.add_reader(sys.stdin, asked.set)
    await asked.wait()
    if ends_with_stdin:
        loop.remove_reader(sys.stdin)
    asked.clear()
    stopping = asyncio.ensure_future(stop())
    impatient = asyncio.create_task(asked.wait())
    await asyncio.wait({stopping, impatient}, return_when=asyncio.FIRST_COMPLETED)
    impatient.cancel()
    if stopping.done():
        stopping.result()
    else:
        stopping.cancel()
