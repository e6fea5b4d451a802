"""What webhooks cost a push: the same pushes without webhooks, and with twenty that get every event.

    python -m benchmarks.webhooks [--pushes N] [--rounds N]

Three servers take turns: one without webhooks, one whose webhooks another process works on, and one that
does all in its own process, as `dits-server up`. Receivers answer at once, in processes of their own.
Printed are the mean of the server's processor time and the median of the rounds of the pusher's time, and
how long it took until every event had arrived at each of its receivers, from the first push on.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from dits.repo.v1.webhook_service_pb2 import CreateWebhookRequest
from dits.repo.v1.webhook_service_pb2_grpc import WebhookServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import Usage, User, commit_of, link, push_requests, tree_of
from benchmarks.counting_receiver import serve_receiver
from benchmarks.server import Server, running

WEBHOOKS = 20
_PROGRAM = """
import os, sys
os.environ.update(DITS_WEBHOOK_ALLOW="127.0.0.1", DITS_WORKER={worker!r})
from services.cli import main
sys.exit(main())
"""


@dataclass(slots=True)
class Case:
    """A server, and what was measured of it: (processor, pusher) in ms for each push, by round."""

    user: User
    count: Synchronized[int] | None = None
    figures: list[tuple[float, float]] = field(default_factory=list)
    pushes: int = 0
    begun: float = 0.0


def main() -> None:
    """Runs the benchmark and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.webhooks")
    parser.add_argument("--pushes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dits-bench-") as base, ExitStack() as stack:
        cases = {
            "without webhooks": _start(stack, Path(base, "none"), worker=True),
            "20, worker apart": _start(stack, Path(base, "apart"), worker=False),
            "20, one process": _start(stack, Path(base, "one"), worker=True),
        }
        for name, case in cases.items():
            if name.startswith("20"):
                port, case.count = stack.enter_context(serve_receiver())
                _create_webhooks(case.user, port)
        stack.enter_context(_working(cases["20, worker apart"].user.server))
        for case in cases.values():
            _push(case, arguments.pushes)
            case.figures.clear()
        for _ in range(arguments.rounds):
            for case in cases.values():
                _push(case, arguments.pushes)
        _print(cases)


def _start(stack: ExitStack, folder: Path, *, worker: bool) -> Case:
    folder.mkdir()
    program = ("-c", _PROGRAM.format(worker=str(worker).lower()))
    return Case(User(stack.enter_context(running(folder / "data", program=program))))


@contextmanager
def _working(server: Server) -> Iterator[None]:
    """Runs a process that works on the jobs of a server."""
    (pid,) = server.data.glob("postgres/**/postmaster.pid")
    (password,) = server.data.glob("postgres/**/password")
    place = f"127.0.0.1:{pid.read_text().splitlines()[3]}"
    environment = {
        "PATH": os.environ["PATH"],
        "DITS_DATABASE_URL": f"postgresql://dits:{password.read_text().strip()}@{place}/dits",
        "DITS_DATA_DIR": str(server.data),
        "DITS_WEBHOOK_ALLOW": "127.0.0.1",
    }
    command = [sys.executable, "-m", "services.cli", "serve", "repo", "--repo-port", "0"]
    with subprocess.Popen([*command, "--log-level", "warning"], env=environment) as process:
        try:
            yield
        finally:
            process.terminate()


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
    table = Table("push", "processor, ms", "ratio", "pusher, ms", "ratio", "arrived, s", "a second")
    first: tuple[float, float] | None = None
    for name, case in cases.items():
        # The kernel counts processor time in ticks of 10 ms: a mean has more digits than a median.
        processor = statistics.mean(figure[0] for figure in case.figures)
        waited = statistics.median(figure[1] for figure in case.figures)
        first = first or (processor, waited)
        arrived = _wait_for_arrivals(case) if case.count is not None else 0.0
        table.add_row(
            name,
            f"{processor:.2f}",
            f"{processor / first[0]:.3f}",
            f"{waited:.2f}",
            f"{waited / first[1]:.3f}",
            f"{arrived:.0f}" if arrived else "",
            f"{WEBHOOKS * case.pushes / arrived:.0f}" if arrived else "",
        )
    Console().print(table)


def _wait_for_arrivals(case: Case) -> float:
    """Returns the seconds from the first push until every event has arrived everywhere."""
    assert case.count is not None  # noqa: S101  asked by the caller
    while case.count.value < WEBHOOKS * case.pushes:
        time.sleep(0.05)
    return time.perf_counter() - case.begun


if __name__ == "__main__":
    main()
