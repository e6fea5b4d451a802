"""What webhooks cost a push: the same pushes without webhooks, and with twenty that get every event.

    python -m benchmarks.webhooks [--pushes N] [--rounds N]

Two servers take turns, one without webhooks; the worker of each is a process of its own. A push makes one
event. Receivers answer at once, in a process of their own. While the server without webhooks has its turn,
the worker of the other one stands still. Printed are the processor time of the server, its worker apart,
the median and mean of the rounds of the pusher's time, and how much had arrived when the last push ended.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from dits.repo.v1.webhook_service_pb2 import CreateWebhookRequest
from dits.repo.v1.webhook_service_pb2_grpc import WebhookServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import Usage, User, commit_of, count_seconds, link, push_requests, tree_of
from benchmarks.counting_receiver import serve_receiver
from benchmarks.server import find_workers, running

WEBHOOKS = 20
_PROGRAM = """
import os, sys
os.environ["DITS_WEBHOOK_ALLOW"] = "127.0.0.1"
from services.cli import main
sys.exit(main())
"""


@dataclass(slots=True)
class Case:
    """A server, and what was measured of it: (processor, pusher) in ms for each push, by round."""

    user: User
    count: Synchronized[int] | None = None
    receiver_pid: int = 0
    figures: list[tuple[float, float]] = field(default_factory=list)
    pushes: int = 0
    begun: float = 0.0


def main() -> None:
    """Runs the benchmark and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.webhooks")
    parser.add_argument("--pushes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--arrivals", action="store_true", help="wait until all has arrived")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dits-bench-") as base, ExitStack() as stack:
        cases = {
            "without webhooks": _start(stack, Path(base, "none")),
            f"with {WEBHOOKS}": _start(stack, Path(base, "some")),
        }
        hooked = cases[f"with {WEBHOOKS}"]
        port, hooked.count, hooked.receiver_pid = stack.enter_context(serve_receiver())
        _create_webhooks(hooked.user, port)
        for number in range(arguments.rounds + 1):
            # Who comes second may find another machine: each is first in every other round.
            for case in list(cases.values())[:: -1 if number % 2 else 1]:
                with _paused(hooked) if case is not hooked else nullcontext():
                    _push(case, arguments.pushes)
                if number == 0:
                    case.figures.clear()
        _print(cases)
        total = WEBHOOKS * hooked.pushes
        print(f"{hooked.count.value} of {total} requests had arrived by then")
        if arguments.arrivals:
            seconds = _wait_for_arrivals(hooked)
            [worker] = find_workers(hooked.user.server.pid)
            cost = count_seconds(worker) / total * 1e3
            print(f"{total} requests arrived in {seconds:.0f} s: {cost:.2f} ms of the worker each")


def _start(stack: ExitStack, folder: Path) -> Case:
    folder.mkdir()
    return Case(User(stack.enter_context(running(folder / "data", program=("-c", _PROGRAM)))))


@contextmanager
def _paused(hooked: Case) -> Iterator[None]:
    """Stops whatever works on the backlog of webhooks, which would slow the other server down, too."""
    pids = [*find_workers(hooked.user.server.pid), hooked.receiver_pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _create_webhooks(user: User, port: int) -> None:
    stub = WebhookServiceStub(user.channels["repo"])
    for number in range(WEBHOOKS):
        request = CreateWebhookRequest(
            repository=user.repository, url=f"http://127.0.0.1:{port}/{number}", events=["*"]
        )
        stub.CreateWebhook(request, metadata=user.auth)


def _push(case: Case, count: int) -> None:
    """Pushes new branches, and notes ms of the server's processor and of the pusher for each."""
    prepared = []
    for _ in range(count):
        name = str(time.monotonic_ns())
        root, content = tree_of([link(name)])
        head, made = commit_of(root)
        prepared.append(push_requests(case.user.repository, [content], [made], head, f"b{name}"))
    begun = time.perf_counter()
    case.begun = case.begun or begun
    with Usage(case.user.server.pid).measured() as usage:
        for requests in prepared:
            if (code := case.user.push(requests)) != "OK":
                raise SystemExit(f"a push failed: {code}")
    case.pushes += count
    took = time.perf_counter() - begun
    case.figures.append((usage.seconds / count * 1e3, took / count * 1e3))


def _print(cases: dict[str, Case]) -> None:
    table = Table("push", "processor, ms", "ratio", "pusher, ms", "ratio", "mean", "ratio")
    first: list[float] = []
    for name, case in cases.items():
        # The kernel counts processor time in ticks of 10 ms: a mean has more digits than a median.
        waits = [figure[1] for figure in case.figures]
        processor = statistics.mean(figure[0] for figure in case.figures)
        values = [processor, statistics.median(waits), statistics.mean(waits)]
        first = first or values
        cells = [
            (f"{value:.2f}", f"{value / base:.3f}")
            for value, base in zip(values, first, strict=True)
        ]
        table.add_row(name, *chain.from_iterable(cells))
    Console().print(table)


def _wait_for_arrivals(case: Case) -> float:
    """Returns the seconds from the first push until every event has arrived everywhere."""
    assert case.count is not None  # noqa: S101  asked by the caller
    while case.count.value < WEBHOOKS * case.pushes:
        time.sleep(0.05)
    return time.perf_counter() - case.begun


if __name__ == "__main__":
    main()
