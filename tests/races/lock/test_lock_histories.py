"""Concurrent histories of locks can be explained by one call after the other. See docs/decisions/0003."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import grpc
import pytest
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub

import services.lock.server
from tests.linearizability import history as histories
from tests.linearizability import scenes
from tests.support.api import Api
from tests.support.locks import Studio

if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceAsyncStub as LockStub

PLAYERS, CALLS = 6, 12


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug to plant into a function of the database.

    Attributes:
        good, bad: what is there, and what it becomes.
        scene: calls that meet such that they show it.
    """

    function: str
    good: str
    bad: str
    scene: scenes.Scene

    @asynccontextmanager
    async def planted(self, api: Api) -> AsyncIterator[None]:
        """The bug is there."""
        source = await api.value("SELECT pg_get_functiondef($1::regproc)", self.function)
        assert self.good in source
        await api.fetch(source.replace(self.good, self.bad))
        yield
        await api.fetch(source)


BUGS = {
    "a renewal revives": Bug(
        "renew_locks", "AND l.expires_at > p_now", "", scenes.renew_an_ended_lock
    ),
    "the fence is not checked": Bug(
        "renew_locks", "AND l.fence = shown.fence", "", scenes.renew_with_another_fence
    ),
    "a push does not look at the fence's end": Bug(
        "locks_stale",
        "AND l.locked_at <= v_now AND l.expires_at > v_now",
        "",
        scenes.show_an_ended_lock,
    ),
    "the transaction's time instead of the mutex's": Bug(
        "take_lock_mutex",
        "clock_timestamp()",
        "now()",
        scenes.read_while_a_change_waits_for_the_mutex,
    ),
    "reads do not wait for the mutex": Bug(
        "share_lock_mutex",
        "PERFORM pg_advisory_xact_lock_shared(",
        "PERFORM abs(",
        scenes.read_while_a_change_has_the_mutex,
    ),
    "directories above do not count": Bug(
        "locks_over",
        "k.path = above.path",
        "k.path = above.path || '?'",
        scenes.change_below_a_locked_directory,
    ),
}


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody ends expired locks in the background, between one call of a scene and the next."""
    monkeypatch.setattr(services.lock.server, "INTERVAL_SECONDS", 3600.0)


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


async def play(studio: Studio, scene: scenes.Scene) -> list[str]:
    """What is wrong with the history of a scene."""
    async with scenes.Stage.open(studio) as stage:
        await scene(stage)
    assert stage.history
    return histories.find_faults(stage.history)


async def test_a_scene_finds_the_bug_for_which_it_was_made(quiet: None, api: Api) -> None:
    studio = await Studio.open(api)
    for name, bug in BUGS.items():
        assert await play(studio, bug.scene) == [], name
        async with bug.planted(api):
            assert await play(studio, bug.scene) != [], name


@pytest.mark.soak
@pytest.mark.parametrize("name", BUGS)
async def test_random_histories_find_planted_bugs(
    api: Api,
    replicas: list[LockStub],
    name: str,
    record_property: Callable[[str, str], None],
) -> None:
    """As a rule ten seeds are enough; how the calls of a seed meet is up to the machine."""
    async with BUGS[name].planted(api):
        for seed in range(300):
            if found := await faults(api, replicas, seed):
                record_property("found", f"seed {seed}: {found[0]}")
                return
    pytest.fail("nothing was found")
