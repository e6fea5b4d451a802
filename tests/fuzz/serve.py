"""A suite in a process of its own, which tells where it is and how free its loop was.

    python -m tests.fuzz.serve DSN DATA_DIR

Prints lines of JSON: the addresses when it is ready; a Report of the time since the last one for each
SIGUSR1, and when it has stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from services.suite import Suite
from shared.db.listen import Listener
from shared.runtime import logs
from shared.runtime.config import Settings
from shared.runtime.process import limit_threads, prepare_process, serve_until_signal
from shared.runtime.server_key import ServerKey
from shared.server import Runtime
from tests.support.watchdog import Watchdog, WatchedLoop, slowness

_TICK_SECONDS = 0.02
# With two threads beside the loop 0.15 was seen at load 5.
STALL_SECONDS = 0.35
# grpc copies a message of 16 MiB twice on the loop, into new memory: 96 ms beside other tests.
_STEP_SECONDS = 0.15
# What goes wrong with memory shall not take the machine with it.
_MOST_BYTES = 3 << 30


@dataclass(slots=True)
class Report:
    """How free the loop was.

    Attributes:
        stalls: seconds of each stall of more than STALL_SECONDS.
        long_steps: what the watchdog has to tell.
    """

    stalls: list[float] = field(default_factory=list)
    long_steps: list[str] = field(default_factory=list)

    def say(self, watchdog: Watchdog) -> None:
        """Prints what happened since the last time."""
        self.long_steps = [str(step) for step in watchdog.long_steps]
        _say(asdict(self))
        watchdog.long_steps.clear()
        self.stalls.clear()

    async def watch_lag(self) -> None:
        """Notes how late a timer comes, where the process itself was busy meanwhile.

        A machine that has other work delays timers, too: so a stall is no longer than the processor time
        that the process used during it, and neighbours on the core make none.
        """
        while True:
            begun, used = time.perf_counter(), time.process_time()
            await asyncio.sleep(_TICK_SECONDS)
            late = time.perf_counter() - begun - _TICK_SECONDS
            stall = min(late, time.process_time() - used)
            if stall > STALL_SECONDS and (stall := stall / slowness()) > STALL_SECONDS:
                self.stalls.append(stall)


async def _serve(settings: Settings, dsn: str, report: Report, watchdog: Watchdog) -> None:
    key = ServerKey.load(settings.server_key, settings.data_dir)
    suite = Suite(Runtime(settings, dsn, key, Listener(dsn), strict=True))
    await suite.start()
    _say(suite.addresses)
    watch = asyncio.create_task(report.watch_lag())
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, report.say, watchdog)
    await serve_until_signal(suite.stop)
    watch.cancel()


def _end_with_parent() -> None:
    """Ends the process when the one that started it is gone."""
    sys.stdin.read()
    os._exit(1)


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serves until SIGTERM."""
    prepare_process()
    settings = Settings(
        data_dir=Path(sys.argv[2]),
        auth_port=0,
        repo_port=0,
        chunk_port=0,
        lock_port=0,
        drain_seconds=0.5,
        log_level="debug",
        log_format="json",
        first_message_seconds=5.0,
        idle_seconds=10.0,
    )
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logs.configure(settings)
    watchdog, report = Watchdog(_STEP_SECONDS), Report()
    with asyncio.Runner(loop_factory=lambda: WatchedLoop(watchdog)) as runner:
        limit_threads(runner.get_loop())
        runner.run(_serve(settings, sys.argv[1], report, watchdog))
    report.say(watchdog)


if __name__ == "__main__":
    main()
