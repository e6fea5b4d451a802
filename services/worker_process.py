"""The worker of `dits-server up`: a process of its own, so that jobs take no time from calls."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import structlog

from shared.runtime.background import BackgroundTask
from shared.runtime.config import Settings
from shared.runtime.waiting import end_tasks

log = structlog.get_logger(__name__)

# Whatever else wants the processors has ten times as much of them. Not more: a worker that gets next to
# nothing loses its leases.
NICE = 10
WATCH_SECONDS = 1.0
# Before it is started again; doubled each time it dies soon.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
# How much longer than `drain_seconds` it may take to stop.
KILL_SECONDS = 5.0


class WorkerProcess:
    """Runs `dits-server worker` beside the services, again if it dies; it ends when this process does."""

    def __init__(
        self, settings: Settings, given: Mapping[str, Any], dsn: str, addresses: Mapping[str, str]
    ) -> None:
        """`given`: settings of the command line; `addresses`: where the services listen."""
        self._drain_seconds = settings.drain_seconds
        own = {f"{name}_address": address for name, address in addresses.items()}
        own["database_url"] = dsn
        if settings.metrics_port:
            # The next one; after the last, a free one.
            own["metrics_port"] = str((settings.metrics_port + 1) % (1 << 16))
        named = {name: value for name, value in given.items() if name in Settings.model_fields}
        # Not on the command line, which everyone on the machine may read.
        self._environment = os.environ | {
            f"DITS_{name.upper()}": str(value) for name, value in {**named, **own}.items()
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._begun_at = self._due_at = time.monotonic()
        self._pause = FIRST_PAUSE
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the process, and again whenever it has died."""
        watch = BackgroundTask("watch the worker", self._look, WATCH_SECONDS)
        self._task = asyncio.create_task(watch.run())

    async def stop(self) -> None:
        """Lets jobs finish for `drain_seconds`, then ends the process."""
        if self._task is not None:
            await end_tasks([self._task])
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, self._drain_seconds + KILL_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    async def _look(self) -> None:
        """Starts the process if it does not run: after a pause, which grows while it dies soon."""
        now = time.monotonic()
        if self._process is not None and (status := self._process.poll()) is not None:
            is_steady = now - self._begun_at > LONGEST_PAUSE
            self._pause = FIRST_PAUSE if is_steady else min(2 * self._pause, LONGEST_PAUSE)
            log.error("the worker died; it is started again", status=status, seconds=self._pause)
            self._process, self._due_at = None, now + self._pause
        if self._process is None and now >= self._due_at:
            self._process, self._begun_at = self._start(), now

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "services.cli", "worker", "--ends-with-stdin"]
        # Not by the loop: uvloop forks in a way that gRPC takes notice of, in the log.
        return subprocess.Popen(  # noqa: S603
            [*command, "--nice", str(NICE)],
            env=self._environment,
            # It ends with us, however we end.
            stdin=subprocess.PIPE,
            # A Ctrl-C is for us alone.
            start_new_session=True,
        )
