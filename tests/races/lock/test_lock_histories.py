"""Concurrent histories of locks can be explained by one call after the other. See docs/decisions/0003."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import pytest
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub

import services.lock.server
from tests.linearizability import history as histories
from tests.support.api import Api
from tests.support.locks import Studio

if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceAsyncStub as LockStub

PLAYERS, CALLS = 6, 12

# Bugs to plant into the functions of the database: what is there, and what it becomes.
PLANTED = {
    "a renewal revives": ("renew_locks", "AND l.expires_at > p_now", ""),
    "the fence is not checked": ("renew_locks", "AND l.fence = shown.fence", ""),
    "a push does not look at the fence's end": (
        "locks_stale", "AND l.locked_at <= v_now AND l.expires_at > v_now", "",
    ),
    "the transaction's time instead of the mutex's": ("take_lock_mutex", "clock_timestamp()", "now()"),
    "reads do not wait for the mutex": (
        "share_lock_mutex", "PERFORM pg_advisory_xact_lock_shared(", "PERFORM abs(",
    ),
    "directories above do not count": ("locks_over", "k.path = above.path", "k.path = above.path || '?'"),
}  # fmt: skip


@asynccontextmanager
async def second_replica(api: Api) -> AsyncIterator[LockStub]:
    """Another lock service on the same database."""
    runtime = replace(api.suite._runtime, addresses=api.addresses)
    server = await services.lock.server.build(runtime)
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
    try:
        yield LockServiceStub(channel)
    finally:
        await channel.close()
        await server.stop()


@pytest.fixture
async def replicas(api: Api) -> AsyncIterator[list[LockStub]]:
    async with second_replica(api) as other:
        yield [api.locks, other]


async def faults(api: Api, replicas: list[LockStub], seed: int) -> list[str]:
    """What is wrong with the history of a seed."""
    studio = await Studio.open(api)
    history = await histories.record_history(studio, replicas, seed, players=PLAYERS, calls=CALLS)
    assert len(history) > CALLS
    return histories.find_faults(history) + await histories.find_written_faults(studio)


async def test_a_dozen_histories(api: Api, replicas: list[LockStub]) -> None:
    for seed in range(12):
        assert await faults(api, replicas, seed) == [], f"seed {seed}"


@pytest.mark.soak
@pytest.mark.parametrize("part", range(10))
async def test_many_histories(api: Api, replicas: list[LockStub], part: int) -> None:
    first = int(os.environ.get("SOAK_SEED", "1000")) + 25 * part
    for seed in range(first, first + 25):
        assert await faults(api, replicas, seed) == [], f"seed {seed}"


@pytest.mark.parametrize("bug", PLANTED)
async def test_planted_bugs_are_found(
    api: Api,
    replicas: list[LockStub],
    bug: str,
    record_property: Callable[[str, str], None],
) -> None:
    function, good, bad = PLANTED[bug]
    source = await api.value("SELECT pg_get_functiondef($1::regproc)", function)
    assert good in source
    await api.fetch(source.replace(good, bad))
    for seed in range(30):
        if found := await faults(api, replicas, seed):
            record_property("found", f"seed {seed}: {found[0]}")
            return
    pytest.fail("nothing was found")
