"""Locks that come, go or run out while a push runs."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from dits.lock.v1.lock_service_pb2 import AcquireLocksRequest, RenewLocksRequest

from dits_client.errors import ClientError, RemoteError
from dits_client.push import lock_renewal
from dits_client.push.locks import PushLocks
from dits_client.server import backoff
from dits_client.server.backoff import Backoff
from tests.support.api import Api
from tests.support.client import Person, Proxy, write
from tests.support.client_locks import (
    at_the_end_of_reading,
    live_fences,
    live_locks,
    remote,
    take_locks,
)
from tests.support.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.usefixtures("locked_film")


async def test_a_lock_that_ran_out_meanwhile_is_taken_again(
    api: Api, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_end_of_reading(monkeypatch, lambda: api.fetch("DELETE FROM locks"))
    write(ada.home / "one", {"a": b"11", "shots/c": None})
    assert (await ada.push("one")).pushed
    assert await live_locks(ada) == {}


async def test_a_lock_that_was_taken_over_ends_the_push(
    api: Api, ada: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner is stronger than the push, and the text says who."""

    async def taken_over() -> None:
        await api.fetch("DELETE FROM locks")
        await take_locks(bob, "a", reason="urgent")

    await take_locks(ada, "a")
    at_the_end_of_reading(monkeypatch, taken_over)
    write(ada.home / "one", {"a": b"1111"})
    with pytest.raises(RemoteError, match=r'"a" is locked by bob since .*\(urgent\)'):
        await ada.push("one")
    assert await live_locks(ada) == {"a": "bob"}


async def test_locks_are_renewed_while_a_push_runs(
    api: Api, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take_locks(ada, "a", "new", ttl_seconds=10)
    before = await live_fences(ada)

    async def time_passes() -> None:
        query = """SELECT count(*) FROM locks
                   WHERE path IN ('a', 'shots/c') AND expires_at > now() + interval '9 min'"""
        while await api.value(query) < 2:
            pass
        # Later than the end of what was not renewed.
        await api.fetch("UPDATE lock_clocks SET high_water = clock_timestamp() + interval '60 s'")

    monkeypatch.setattr(lock_renewal, "TICK_SECONDS", 0.05)
    at_the_end_of_reading(monkeypatch, time_passes)
    # Of the same size: whether it was changed shows only when it is read.
    write(ada.home / "one", {"a": b"x", "shots/c": b"333"})
    assert (await ada.push("one")).pushed
    after = await live_fences(ada)
    assert after == {"a": before["a"]}
    assert "new" in before


async def test_renewing_outlives_failures(
    api: Api, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal that fails is tried again; of a lock that has ended no more is asked."""
    await take_locks(ada, "a", "b", "new", ttl_seconds=10)
    ids = {row["path"]: str(row["id"]) for row in await api.fetch("SELECT id, path FROM locks")}
    monkeypatch.setattr(lock_renewal, "TICK_SECONDS", 0.05)
    loop, real = asyncio.get_running_loop(), ada.client.call
    asked: list[set[str]] = []

    def call(method: Any, request: Any, timeout: float = 60.0) -> Any:
        if isinstance(request, RenewLocksRequest):
            asked.append({lock.lock_id for lock in request.locks})
            if len(asked) == 1:
                raise RemoteError("gone", code="UNAVAILABLE")
        return real(method, request, timeout)

    def run() -> None:
        with PushLocks(remote(ada), required=True, strict=True) as held:
            end = api.fetch("DELETE FROM locks WHERE path = 'b'")
            asyncio.run_coroutine_threadsafe(end, loop).result()
            held.keep_lock("a")
            held.keep_lock("b")
            while not any(ids["b"] in request for request in asked[1:]):
                time.sleep(0.02)
            held.keep_lock("new")
            while not any(ids["new"] in request for request in asked):
                time.sleep(0.02)

    monkeypatch.setattr(ada.client, "call", call)
    await asyncio.to_thread(run)
    assert asked[-1] == {ids["new"]}
    query = "SELECT path FROM locks WHERE expires_at > now() + interval '9 min' ORDER BY path"
    assert [row["path"] for row in await api.fetch(query)] == ["a", "new"]


async def test_locks_may_be_required_meanwhile(
    api: Api, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.fetch("UPDATE repository_settings SET require_lock_for_edit = false")
    require = "UPDATE repository_settings SET require_lock_for_edit = true"
    at_the_end_of_reading(monkeypatch, lambda: api.fetch(require))
    write(bob.home / "two", {"a": b"11"})
    assert (await bob.push("two")).pushed
    assert await live_locks(bob) == {}


async def test_a_lock_whose_grant_was_not_heard_of_is_released(
    api: Api, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bob.client.call

    def call(method: Any, request: Any, timeout: float = 60.0) -> Any:
        if isinstance(request, AcquireLocksRequest):
            real(method, request, timeout)
        return real(method, request, timeout)

    async def fail() -> None:
        held = await api.fetch("SELECT path FROM locks")
        raise ClientError(f"stopped, holding {[row['path'] for row in held]}")

    monkeypatch.setattr(bob.client, "call", call)
    at_the_end_of_reading(monkeypatch, fail)
    write(bob.home / "two", {"a": b"11"})
    with pytest.raises(ClientError, match="stopped, holding \\['a'\\]"):
        await bob.push("two")
    assert await live_locks(bob) == {}


async def test_a_push_that_ends_does_not_wait_for_a_lock_service_that_is_away(
    api: Api, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take_locks(ada, "a", ttl_seconds=10)
    monkeypatch.setattr(lock_renewal, "TICK_SECONDS", 0.05)
    away, pauses, real = threading.Event(), list[str](), Backoff.wait

    def wait(self: Backoff, error: RemoteError) -> None:
        if threading.current_thread().name == "renew locks":
            away.set()
        real(self, error)

    def sleep(seconds: float) -> None:
        pauses.append(threading.current_thread().name)
        time.sleep(seconds)

    monkeypatch.setattr(Backoff, "wait", wait)
    clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
    monkeypatch.setattr(backoff, "time", clock)

    def run() -> None:
        with (
            Proxy(api.addresses["lock"]) as proxy,
            Person(api, ada.account, ada.home, lock=proxy.address) as person,
            PushLocks(remote(person), required=True, strict=True) as held,
        ):
            proxy.__exit__()
            proxy.budgets = [1] * 9
            held.keep_lock("a")
            assert away.wait(PATIENCE_SECONDS)

    await asyncio.to_thread(run)
    # Those of the renewal end with it.
    assert "renew locks" not in pauses
