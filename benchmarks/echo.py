"""An authenticated GetMe beside the least that grpc.aio can do: a server that gives the same answer.

    python -m benchmarks.echo [--calls N] [--rounds N]

Both are processes of their own on uvloop, asked one call after the other by this process, in turns. The
echo has no chain, no database and no log. Beside them, CheckAccess for a repository, which auth always
answers from the database, and GetRepository, whose access check is warm. Printed are medians over the
rounds: the processor time of the server's process, PostgreSQL apart, and how long the caller waits. The
share is the echo's time divided by that of the call.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from dits.auth.v1.access_service_pb2 import CheckAccessRequest
from dits.auth.v1.access_service_pb2_grpc import AccessServiceStub
from dits.auth.v1.account_service_pb2 import GetMeRequest, GetMeResponse
from dits.auth.v1.account_service_pb2_grpc import AccountServiceStub
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest
from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import Usage, User
from benchmarks.server import running

_ECHO = """
import asyncio, sys, grpc, uvloop
from dits.auth.v1 import account_service_pb2 as pb
from dits.auth.v1.account_service_pb2_grpc import AccountServiceServicer as Base
from dits.auth.v1.account_service_pb2_grpc import add_AccountServiceServicer_to_server as add

class Echo(Base):
    def __init__(self, answer):
        self._answer = answer
    async def GetMe(self, request, context):
        return self._answer

async def serve():
    server = grpc.aio.server()
    add(Echo(pb.GetMeResponse.FromString(bytes.fromhex(sys.argv[1]))), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
    loop.run(serve())
"""
Figures = tuple[float, float]


@contextmanager
def _echoing(answer: GetMeResponse) -> Iterator[tuple[int, grpc.Channel]]:
    """Runs a server whose GetMe gives one answer; yields its process and a channel."""
    command = [sys.executable, "-c", _ECHO, answer.SerializeToString().hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101  a pipe was asked for
            port = int(process.stdout.readline())
            yield process.pid, grpc.insecure_channel(f"127.0.0.1:{port}")
        finally:
            process.terminate()


def main() -> None:
    """Runs the benchmark and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.echo")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="dits-bench-") as base,
        running(Path(base, "data")) as server,
    ):
        user = User(server)
        accounts = AccountServiceStub(user.channels["auth"])
        mine = accounts.GetMe(GetMeRequest(), metadata=user.auth)
        with _echoing(mine) as (pid, channel):
            calls = _list_calls(user)
            echo = AccountServiceStub(channel)
            calls["echo"] = (pid, lambda: echo.GetMe(GetMeRequest(), metadata=user.auth))
            _print(_take_turns(calls, arguments.calls, arguments.rounds))


def _list_calls(user: User) -> dict[str, tuple[int, Callable[[], object]]]:
    """Returns the calls of dits by name, each with the process that answers."""
    accounts = AccountServiceStub(user.channels["auth"])
    access = AccessServiceStub(user.channels["auth"])
    repositories = RepositoryServiceStub(user.channels["repo"])
    check = CheckAccessRequest(repository=user.repository)
    get = GetRepositoryRequest(repository=user.repository)
    pid, auth = user.server.pid, user.auth
    return {
        "GetMe": (pid, lambda: accounts.GetMe(GetMeRequest(), metadata=auth)),
        "CheckAccess": (pid, lambda: access.CheckAccess(check, metadata=auth)),
        "GetRepository": (pid, lambda: repositories.GetRepository(get, metadata=auth)),
    }


def _take_turns(
    calls: dict[str, tuple[int, Callable[[], object]]], count: int, rounds: int
) -> dict[str, list[Figures]]:
    """Returns the figures of each round but the first, by name."""
    found: dict[str, list[Figures]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, (pid, call) in calls.items():
            figures = _measure(pid, call, count)
            if turn:
                found[name].append(figures)
    return found


def _measure(pid: int, call: Callable[[], object], count: int) -> Figures:
    """Returns the processor time of the process and the median wait of the caller, µs for each call."""
    waits = []
    with Usage(pid).measured() as usage:
        for _ in range(count):
            begun = time.perf_counter()
            call()
            waits.append(time.perf_counter() - begun)
    return usage.seconds / count * 1e6, statistics.median(waits) * 1e6


def _print(found: dict[str, list[Figures]]) -> None:
    table = Table("call", "processor, µs", "share", "caller waits, µs", "share")
    medians = {
        name: [statistics.median(column) for column in zip(*rounds, strict=True)]
        for name, rounds in found.items()
    }
    for name, (processor, waits) in medians.items():
        table.add_row(
            name,
            f"{processor:.0f}",
            f"{medians['echo'][0] / processor:.2f}",
            f"{waits:.0f}",
            f"{medians['echo'][1] / waits:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
