"""Another caller: asks for a commit all the time, and notes how long it waits.

    python -m tests.fuzz.probe REPO_ADDRESS TOKEN REPOSITORY

Asks until its input ends; prints one line of JSON, a Wait per call.
"""

from __future__ import annotations

import json
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from dits.repo.v1.commit_service_pb2 import GetCommitRequest
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub

from tests.support.embedded_postgres import ROOT

STALL_SECONDS = 0.25
_PAUSE_SECONDS = 0.02
_WORK_SECONDS = 0.01
_MEASURED_EACH = 10


@dataclass(slots=True)
class Waits:
    """What the other caller saw.

    Attributes:
        seconds: of each call.
        slowness: how much longer than its processor time some work took, now and then: the machine's part.
        errors: of calls that failed.
    """

    seconds: list[float] = field(default_factory=list)
    slowness: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Returns the seconds that this share of the calls stayed below."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]

    def assert_served(self) -> None:
        """Fails if one call in a hundred failed, or was a stall on a machine with no other work."""
        assert len(self.errors) <= len(self.seconds) // 100, self.errors
        slowness = statistics.mean(self.slowness)
        assert self.percentile(0.99) < STALL_SECONDS * slowness, (self.percentile(0.99), slowness)


@contextmanager
def probing(address: str, token: str, repository: str) -> Iterator[Waits]:
    """Lets another caller ask as long as the block lasts; what it saw is there afterwards."""
    waits = Waits()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.probe", address, token, repository],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            yield waits
        finally:
            out, _ = process.communicate()
    waits.seconds, waits.slowness, waits.errors = json.loads(out)


def measure_slowness() -> float:
    """Works for a moment; returns the time that this took as a multiple of the processor time."""
    begun, end = time.perf_counter(), time.thread_time() + _WORK_SECONDS
    while time.thread_time() < end:
        pass
    return (time.perf_counter() - begun) / _WORK_SECONDS


def main() -> None:
    """Asks until the input ends, at least once."""
    address, token, repository = sys.argv[1:]
    waits = Waits()
    request = GetCommitRequest(repository=repository)
    with grpc.insecure_channel(address) as channel:
        stub = CommitServiceStub(channel)
        stub.GetCommit(
            request, metadata=(("authorization", f"Bearer {token}"),), wait_for_ready=True
        )
        while not waits.seconds or not select.select([sys.stdin], [], [], 0)[0]:
            time.sleep(_PAUSE_SECONDS)
            if len(waits.seconds) % _MEASURED_EACH == 0:
                waits.slowness.append(measure_slowness())
            asked = time.perf_counter()
            try:
                stub.GetCommit(
                    request, metadata=(("authorization", f"Bearer {token}"),), timeout=20
                )
            except grpc.RpcError as error:
                waits.errors.append(str(error))
            waits.seconds.append(time.perf_counter() - asked)
    sys.stdout.write(json.dumps([waits.seconds, waits.slowness, waits.errors]))


if __name__ == "__main__":
    main()
