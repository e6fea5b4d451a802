"""Replicas whose clocks are wrong, and holders that are stopped for longer than their locks last."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub
from grpc import StatusCode

from shared.formats.commits import commit_hash
from tests.linearizability import history as histories
from tests.support import trees
from tests.support.api import Api, refused
from tests.support.locks import Studio

if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceAsyncStub as LockStub

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

HOLDER = """
import sys, time
import grpc
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.lock.v1 import lock_service_pb2 as pb
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub
from google.protobuf.duration_pb2 import Duration

address, token, repository, path = sys.argv[1:]
ten = Duration(seconds=10)
with grpc.insecure_channel(address) as channel:
    stub = LockServiceStub(channel)
    who = (("authorization", "Bearer " + token),)
    asked = pb.AcquireLocksRequest(repository=repository, paths=[path], ttl=ten)
    lock = stub.AcquireLocks(asked, metadata=who).results[0].lock
    print(lock.id, lock.fence, flush=True)
    held = [LockFence(lock_id=lock.id, fence=lock.fence)]
    per_path = "BATCH_MODE_PER_PATH"
    asked = pb.RenewLocksRequest(repository=repository, locks=held, ttl=ten, batch_mode=per_path)
    while True:
        outcome = stub.RenewLocks(asked, metadata=who).results[0].outcome
        print(pb.RenewOutcome.Name(outcome), flush=True)
        if outcome != pb.RENEW_OUTCOME_RENEWED:
            break
"""


@pytest.fixture
async def studio(api: Api) -> Studio:
    return await Studio.open(api)


@asynccontextmanager
async def replica(api: Api, skew: timedelta, folder: Path) -> AsyncIterator[LockStub]:
    """A lock service in a process of its own, whose clock is off by `skew`."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME": f"{int(skew.total_seconds()):+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DITS_DATABASE_URL": api.dsn,
        "DITS_SERVER_KEY": "5e" * 32,
        "DITS_DATA_DIR": str(folder),
        "DITS_LOG_FORMAT": "json",
        "DITS_LOCK_PORT": "0",
        "DITS_AUTH_ADDRESS": api.addresses["auth"],
        "DITS_REPO_ADDRESS": api.addresses["repo"],
        "DITS_DRAIN_SECONDS": "0.1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "serve", "lock"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        entry = {"event": ""}
        while entry["event"] != "listening":
            entry = json.loads(await process.stderr.readline())
        claimed = datetime.fromisoformat(entry["timestamp"]) - datetime.now(UTC)
        assert abs(claimed - skew) < timedelta(minutes=1)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{entry['port']}") as channel:
            # What it logs must go somewhere, or it stops when the pipe is full.
            reading = asyncio.create_task(process.stderr.read())
            yield LockServiceStub(channel)
        process.terminate()
        await reading
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.skipif(FAKETIME is None, reason="the library faketime is not installed")
@pytest.mark.parametrize(
    "seeds", [range(2), pytest.param(range(2000, 2030), marks=pytest.mark.soak)], ids=len
)
async def test_wrong_clocks_change_nothing(api: Api, tmp_path: Path, seeds: range) -> None:
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(replica(api, timedelta(hours=hours), tmp_path))
            for hours in (-1, 1)
        ]
        for seed in seeds:
            studio = await Studio.open(api)
            history = await histories.record_history(
                studio, [*replicas, api.locks], seed, players=6, calls=12
            )
            assert histories.find_faults(history) == [], f"seed {seed}"
            assert await histories.find_written_faults(studio) == [], f"seed {seed}"


async def test_a_holder_that_was_stopped_too_long_has_lost(studio: Studio) -> None:
    api, bob = studio.api, studio.bob
    first = trees.build({"f": "0"})
    made = trees.commit(first)
    base = commit_hash(made)
    await trees.push_commit(api, studio.ada, studio.repo, made, first)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, api.addresses["lock"], bob.token, studio.repo.id, "f"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    lock_id, fence = (await process.stdout.readline()).decode().split()
    assert await process.stdout.readline() == b"RENEW_OUTCOME_RENEWED\n"
    process.send_signal(signal.SIGSTOP)
    await studio.pass_time(21)
    # A renewal that was under way when it stopped may have come after the time that passed.
    await studio.pass_time(21)
    new = await studio.take(studio.cyn, "f")
    process.send_signal(signal.SIGCONT)
    said = (await process.stdout.read()).decode().split()
    assert said[-1] == "RENEW_OUTCOME_STALE"
    assert await process.wait() == 0
    # Nor does its push go through on the strength of what it held, and not after the other has let go.
    tree = trees.build({"f": "1"})
    change = trees.commit(tree, base)
    moves = [trees.update("main", base, commit_hash(change))]
    relied = [LockFence(lock_id=lock_id, fence=int(fence))]
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
        await trees.push(api, bob, studio.repo, [change], moves, [tree], locks=relied)
    await studio.release(studio.cyn, new)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_STALE"):
        await trees.push(api, bob, studio.repo, [change], moves, [tree], locks=relied)
    await trees.push(api, bob, studio.repo, [change], moves, [tree])
