"""kill -9 of the server: usage that was stored stays, and is not stored twice."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import grpc
import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.account_service_pb2_grpc import AccountServiceStub
from dits.auth.v1.session_service_pb2 import LoginRequest
from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub

from benchmarks.server import Server, find_workers, running
from tests.support.usage import read_usage


def count_stored(server: Server) -> int:
    """Returns the requests that are stored for the only account."""
    found = asyncio.run(read_usage(server.dsn))
    return sum(amounts[0] for (kind, _), amounts in found.items() if kind == "user")


@pytest.mark.timeout(120)
def test_kill_between_two_batches(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        with grpc.insecure_channel(server.addresses["auth"]) as channel:
            login = LoginRequest(login=server.username, password=server.password)
            session = SessionServiceStub(channel).Login(login).session
            metadata = (("authorization", f"Bearer {session.token}"),)
            get_me, made, stored = AccountServiceStub(channel).GetMe, 0, 0
            while not stored:
                get_me(GetMeRequest(), metadata=metadata)
                made += 1
                stored = count_stored(server)
            for _ in range(100):
                get_me(GetMeRequest(), metadata=metadata)
        [worker] = find_workers(server.pid)
        os.kill(server.pid, signal.SIGKILL)
    with running(tmp_path / "data", server.addresses) as again:
        assert stored <= count_stored(again) <= made + 100
    # The worker of the server that was killed ends by itself.
    while Path(f"/proc/{worker}").exists():
        time.sleep(0.05)
