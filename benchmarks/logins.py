"""What many logins at once do to the others: how long the event loop is held up, and the memory.

    python -m benchmarks.logins [--callers N] [--rounds N]

All callers log in at the same moment with the right password, round after round; between the rounds the
server is quiet for as long. A task in the server wakes each 5 ms, and writes how late it was. Memory is
the peak above what the process held before; two logins are hashed at once, in 64 MiB each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
from dits.auth.v1.session_service_pb2 import LoginRequest
from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import Usage, code
from benchmarks.server import Server, running

# Before the server is loaded: a task that measures its loop.
_PROGRAM = """
import asyncio, sys, time
from shared.runtime import process
serve, lags = process.serve_until_signal, open({lags!r}, "w", buffering=1)

async def measure():
    while True:
        begun = time.perf_counter()
        await asyncio.sleep(0.005)
        late = time.perf_counter() - begun - 0.005
        lags.write(f"{{time.time()}} {{late}}\\n")

async def serve_measured(*given, **named):
    task = asyncio.create_task(measure())
    await serve(*given, **named)
    task.cancel()

process.serve_until_signal = serve_measured
from services.cli import main
sys.exit(main())
"""


@dataclass(slots=True)
class Span:
    """A time in which something went on: its beginning and end."""

    begun: float
    ended: float

    def pick(self, lags: list[tuple[float, float]]) -> list[float]:
        """Returns the lags of this time, sorted."""
        return sorted(late for when, late in lags if self.begun <= when <= self.ended)


def main() -> None:
    """Runs the benchmark and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.logins")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dits-bench-") as base:
        file = Path(base, "lags")
        program = ("-c", _PROGRAM.format(lags=str(file)))
        with running(Path(base, "data"), program=program) as server:
            _log_in_together(server, 2)
            time.sleep(1)
            busy, quiet, ended = [], [], Counter[str]()
            with Usage(server.pid).measured() as usage:
                for _ in range(arguments.rounds):
                    begun = time.time()
                    ended.update(_log_in_together(server, arguments.callers))
                    busy.append(Span(begun, time.time()))
                    time.sleep(busy[-1].ended - begun)
                    quiet.append(Span(busy[-1].ended, time.time()))
        lines = [line.split() for line in file.read_text().splitlines()]
        lags = [(float(when), float(late)) for when, late in lines]
    _print({"logins": busy, "quiet": quiet}, lags)
    print(f"{dict(ended)}; peak of memory {usage.peak_bytes / (1 << 20):.0f} MiB above before")


def _log_in_together(server: Server, callers: int) -> list[str]:
    """Logs in at the same moment; returns how each call ended."""
    with grpc.insecure_channel(server.addresses["auth"]) as channel:
        stub = SessionServiceStub(channel)
        request = LoginRequest(login=server.username, password=server.password)

        def log_in(_: int) -> str:
            try:
                stub.Login(request, timeout=120)
            except grpc.RpcError as error:
                return code(error)
            return "OK"

        with ThreadPoolExecutor(callers) as pool:
            return list(pool.map(log_in, range(callers)))


def _print(spans: dict[str, list[Span]], lags: list[tuple[float, float]]) -> None:
    table = Table("meanwhile", "wakings", "median ms late", "p99", "most")
    for name, times in spans.items():
        found = sorted(late for span in times for late in span.pick(lags))
        figures = (found[len(found) // 2], found[int(len(found) * 0.99)], found[-1])
        table.add_row(name, str(len(found)), *(f"{each * 1e3:.1f}" for each in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
