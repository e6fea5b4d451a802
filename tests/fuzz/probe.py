"""Another caller: asks for a commit all the time, and notes how long it waits.

    python -m tests.fuzz.probe REPO_ADDRESS TOKEN REPOSITORY

Asks until its input ends; prints one line of JSON, a Wait per call.
"""

from __future__ import annotations

import json
import select
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

_PAUSE_SECONDS = 0.02


@dataclass(slots=True)
class Waits:
    """What the other caller saw.

    Attributes:
        seconds: of each call.
        noise: by how much the pause before each call was too long: the machine's part.
        errors: of calls that failed.
    """

    seconds: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Returns the seconds that this share of the calls stayed below."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


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
    waits.seconds, waits.noise, waits.errors = json.loads(out)


def main() -> None:
    """Asks until the input ends."""
    address, token, repository = sys.argv[1:]
    waits = Waits()
    request = GetCommitRequest(repository=repository)
    with grpc.insecure_channel(address) as channel:
        stub = CommitServiceStub(channel)
        stub.GetCommit(
            request, metadata=(("authorization", f"Bearer {token}"),), wait_for_ready=True
        )
        while not select.select([sys.stdin], [], [], 0)[0]:
            begun = time.perf_counter()
            time.sleep(_PAUSE_SECONDS)
            asked = time.perf_counter()
            try:
                stub.GetCommit(
                    request, metadata=(("authorization", f"Bearer {token}"),), timeout=20
                )
            except grpc.RpcError as error:
                waits.errors.append(str(error))
            waits.seconds.append(time.perf_counter() - asked)
            waits.noise.append(asked - begun - _PAUSE_SECONDS)
    sys.stdout.write(json.dumps([waits.seconds, waits.noise, waits.errors]))


if __name__ == "__main__":
    main()
