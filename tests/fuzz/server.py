"""A server under attack, in a process of its own, and what must hold of it afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.embedded_postgres import ROOT
from tests.support.waiting import PATIENCE_SECONDS

# How much more memory a server may hold when all is over, and what does not count: arenas of threads.
GROWTH = 1.2
_FREE_BYTES = 64 << 20


@dataclass(slots=True)
class Server:
    """A running suite.

    Attributes:
        addresses: host:port of each service.
        log: what it writes.
    """

    process: subprocess.Popen[str]
    addresses: dict[str, str]
    log: Path

    def resident_bytes(self) -> int:
        """Returns the memory that the process holds."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def may_hold(self, before: int) -> int:
        """Returns the most memory that it may hold when it held `before` bytes before."""
        return max(int(before * GROWTH), before + _FREE_BYTES)

    async def until_released(self, before: int) -> None:
        """Returns when it holds no more memory than it may; fails if that does not come."""
        last = time.monotonic() + PATIENCE_SECONDS
        while self.resident_bytes() > self.may_hold(before):
            held = f"{self.resident_bytes() >> 20} MB, and {before >> 20} MB before"
            assert time.monotonic() < last, held
            await asyncio.sleep(0.1)

    def assert_unharmed(self) -> None:
        """Holds the log and the time since the last report against what is promised."""
        self.process.send_signal(signal.SIGUSR1)
        assert self.process.stdout is not None
        self._assert(json.loads(self.process.stdout.readline()))

    def stop(self) -> None:
        """Ends it, and holds its log and its last report against what is promised."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        # Its input stays open meanwhile: at the end of that it would give up.
        lines = self.process.stdout.read().splitlines()
        self.process.wait(timeout=60)
        self._assert(json.loads(lines[-1]))

    def _assert(self, report: dict[str, Any]) -> None:
        text = self.log.read_text()
        defects = [line for line in text.splitlines() if '"a defect"' in line]
        assert not defects, "\n".join(defects)
        # Only printable characters of ASCII and line ends; all others are escaped.
        assert not re.search(r"[^\n -~]", text)
        assert not report["long_steps"], "\n".join(report["long_steps"])
        assert not report["stalls"], report


@contextmanager
def running_server(dsn: str, folder: Path) -> Iterator[Server]:
    """Runs a suite over a migrated database."""
    log = folder / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.serve", dsn, str(folder / "data")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            cwd=ROOT,
        )
    assert process.stdout is not None
    first = process.stdout.readline()
    server = Server(process, json.loads(first) if first else {}, log)
    assert server.addresses, log.read_text()
    try:
        yield server
    finally:
        process.kill()
        process.communicate()
