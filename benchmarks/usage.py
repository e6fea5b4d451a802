"""What the accounting of usage costs a call: GetMe on a server that counts usage, and on one that does not.

    python -m benchmarks.usage [--calls N] [--rounds N]

Two servers take turns. Printed are the medians, over the rounds, of the processor time of the server
process and of the time the caller waits, and, from this process, what counting one call takes by itself,
as a share of the processor time of a GetMe.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import timeit
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from dits.common.v1.access_pb2 import COUNTING_UNSPECIFIED
from rich.console import Console
from rich.table import Table

from benchmarks.callers import User
from benchmarks.metrics import measure_calls
from benchmarks.server import running
from shared.rpc.call import Access, Call, Caller, RepositoryAccess
from shared.rpc.policy import Permission
from shared.rpc.usage import UsageCounters

_SILENT = """
import sys
from shared.rpc.usage import UsageCounters
UsageCounters.begin = UsageCounters.end = lambda self, *_: None
from services.cli import main
sys.exit(main())
"""
PROGRAMS = {"counted": ("-m", "services.cli"), "not counted": ("-c", _SILENT)}


def main() -> None:
    """Runs the benchmark and prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.usage")
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    processor = _compare_servers(arguments.calls, arguments.rounds)
    table = Table("counting one call", "µs", "of a GetMe", title="in this process")
    caller = Caller.of(uuid4(), "ada", uuid4(), None)
    repository = RepositoryAccess(
        uuid4(), "studio", "film", Permission.READ, read_only=False, cell=0, organization_id=uuid4()
    )
    accesses = {
        "of a user": Access(caller, None),
        "of a user, about an organisation's repository": Access(caller, repository),
    }
    for name, access in accesses.items():
        micros = _count_alone(access)
        table.add_row(name, f"{micros:.2f}", f"{micros / processor:.2%}")
    Console().print(table)


def _compare_servers(calls: int, rounds: int) -> float:
    """Prints what a GetMe takes on both servers; returns the processor time where usage is counted, µs."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory(prefix="dits-bench-") as base, ExitStack() as servers:
        users = {}
        for number, (name, program) in enumerate(PROGRAMS.items()):
            folder = Path(base, str(number))
            folder.mkdir()
            users[name] = User(servers.enter_context(running(folder / "data", program=program)))
            measure_calls(users[name], calls)
        for turn in range(rounds):
            for name, user in sorted(users.items(), reverse=turn % 2 == 1):
                figures[name].append(measure_calls(user, calls))
    table = Table("GetMe", "processor, µs", "caller, µs", title=f"medians of {rounds}")
    medians: dict[str, float] = {}
    for name, found in figures.items():
        processor, waited = (statistics.median(column) for column in zip(*found, strict=True))
        table.add_row(name, f"{processor:.1f}", f"{waited:.1f}")
        medians[name] = processor
    Console().print(table)
    return medians["counted"]


def _count_alone(access: Access) -> float:
    """Returns the µs that all that is counted of one call takes."""
    counters, call = UsageCounters(), Call("m", "r", access=access)

    def count() -> None:
        call.used.received += 10
        counters.begin(call)
        call.used.sent += 100
        counters.end(call, COUNTING_UNSPECIFIED)

    seconds = timeit.repeat(count, timer=time.process_time, number=20_000, repeat=5)
    return min(seconds) / 20_000 * 1e6


if __name__ == "__main__":
    main()
