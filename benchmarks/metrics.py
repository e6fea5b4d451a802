"""What the metrics cost a call: GetMe on a server that counts, and on one that does not.

    python -m benchmarks.metrics [--calls N] [--rounds N]

Two servers take turns, one call after the other. Printed are the medians, over the rounds, of the processor
time of the server process and of the time the caller waits, and, from this process, what counting one call
takes by itself.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import timeit
from contextlib import ExitStack
from pathlib import Path

from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.account_service_pb2_grpc import AccountServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import Usage, User
from benchmarks.server import running
from shared.rpc.rpc_metrics import RpcMeter

# Before anything else is imported: nothing is counted.
_SILENT = """
import sys
from prometheus_client import Counter, Histogram
Counter.inc = Histogram.observe = lambda self, *_: None
from services.cli import main
sys.exit(main())
"""
PROGRAMS = {"counted": ("-m", "services.cli"), "not counted": ("-c", _SILENT)}


def main() -> None:
    """Runs the benchmark and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.metrics")
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory(prefix="dits-bench-") as base, ExitStack() as servers:
        users = {}
        for number, (name, program) in enumerate(PROGRAMS.items()):
            folder = Path(base, str(number))
            folder.mkdir()
            users[name] = User(servers.enter_context(running(folder / "data", program=program)))
            measure_calls(users[name], arguments.calls)
        for _ in range(arguments.rounds):
            for name, user in users.items():
                figures[name].append(measure_calls(user, arguments.calls))
    table = Table("GetMe", "processor, µs", "caller, µs", title=f"medians of {arguments.rounds}")
    for name, rounds in figures.items():
        processor, waited = (statistics.median(column) for column in zip(*rounds, strict=True))
        table.add_row(name, f"{processor:.1f}", f"{waited:.1f}")
    Console().print(table)
    print(f"counting one call: {_count_alone():.2f} µs")


def measure_calls(user: User, calls: int) -> tuple[float, float]:
    """Returns processor time of the server and time of the caller, µs for each call."""
    stub = AccountServiceStub(user.channels["auth"])
    begun = time.perf_counter()
    with Usage(user.server.pid).measured() as usage:
        for _ in range(calls):
            stub.GetMe(GetMeRequest(), metadata=user.auth)
    return usage.seconds / calls * 1e6, (time.perf_counter() - begun) / calls * 1e6


def _count_alone() -> float:
    """Returns the µs that everything counted of one call takes."""
    meter = RpcMeter("auth", "/benchmark/Call")

    def count() -> None:
        meter.count_received(0)
        meter.count_sent(100)
        meter.record("OK", None, 0.0007)

    return min(timeit.repeat(count, number=20_000, repeat=5)) / 20_000 * 1e6


if __name__ == "__main__":
    main()
