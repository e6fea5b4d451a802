"""A server under attack, in a process of its own, and what must hold of it afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.embedded_postgres import ROOT

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
