"""The client and locks: taken and released by pushes, and by the commands."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from dits.common.v1.error_reason_pb2 import ERROR_REASON_LOCK_HELD
from dits.common.v1.lock_type_pb2 import LOCK_TYPE_SHARED
from dits.lock.v1.lock_service_pb2 import (
    AcquireLocksRequest,
    RenewLocksRequest,
)

from dits_client.errors import ClientError, RemoteError
from dits_client.push import lock_renewal
from dits_client.push.locks import PushLocks
from dits_client.server import locks
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.snapshot import Snapshot
from tests.support.api import Api
from tests.support.client import NOISE, Person, write

REPOSITORY = "ada/film"


@pytest.fixture
async def ada(api: Api, tmp_path: Path) -> AsyncIterator[Person]:
    with Person(api, await api.account("ada"), tmp_path / "ada") as person:
        yield person


@pytest.fixture
async def bob(api: Api, tmp_path: Path) -> AsyncIterator[Person]:
    with Person(api, await api.account("bob"), tmp_path / "bob") as person:
        yield person


@pytest.fixture(autouse=True)
async def film(api: Api, ada: Person, bob: Person) -> None:
    """A repository whose files must be locked by who changes them, cloned by both."""
    repository = await api.repository(ada.account, "film", must_lock=True)
    await api.grant(repository, bob.account, "write")
    write(ada.home / "one", {"a": b"1", "b": b"2", "shots/c": b"3", "shots/d/e": b"4"})
    await ada.push("one", REPOSITORY)
    await bob.clone(REPOSITORY, "two")


def remote(person: Person) -> RepositoryClient:
    return RepositoryClient(person.client, REPOSITORY)


async def live(person: Person) -> dict[str, str]:
    """Path and holder of every live lock."""

    def run() -> dict[str, str]:
        return {lock.path: lock.holder for lock in locks.list_locks(remote(person))}

    return await asyncio.to_thread(run)


async def take(person: Person, *paths: str, **options: object) -> None:
    def run() -> None:
        made = locks.LockOptions(**options)  # type: ignore[arg-type]
        list(locks.acquire_locks(remote(person), paths, made))

    await asyncio.to_thread(run)


async def test_a_push_takes_and_releases_what_it_needs(ada: Person) -> None:
    write(ada.home / "one", {"a": b"11", "shots/c": None, "new": b"5"})
    assert (await ada.push("one")).pushed
    assert await live(ada) == {}


async def test_locks_of_ones_own_are_used_and_kept(ada: Person) -> None:
    await take(ada, "a", "shots/")
    await take(ada, "b", release_on_push=True)
    write(ada.home / "one", {"a": b"11", "b": b"22", "shots/c": b"33", "shots/d/e": None})
    assert (await ada.push("one")).pushed
    assert await live(ada) == {"a": "ada", "shots/": "ada"}


async def test_a_lock_of_someone_else_is_explained(ada: Person, bob: Person) -> None:
    await take(ada, "shots/", reason="grading")
    write(bob.home / "two", {"a": b"11", "shots/d/e": b"mine"})
    with pytest.raises(RemoteError) as caught:
        await bob.push("two")
    assert caught.value.reason == ERROR_REASON_LOCK_HELD
    told = str(caught.value)
    assert re.fullmatch(
        r'"shots/d/e" is locked by ada, who holds "shots/", since [-0-9]+ [:0-9]+ UTC'
        r" until [-0-9]+ [:0-9]+ UTC \(grading\)",
        told,
    )
    # Nothing of bob's is left behind.
    assert await live(bob) == {"shots/": "ada"}


async def test_a_failed_push_releases_its_locks(ada: Person, bob: Person) -> None:
    write(ada.home / "one", {"b": b"22"})
    await ada.push("one")
    write(bob.home / "two", {"a": b"11"})
    with pytest.raises(RemoteError, match="run `dits pull` first"):
        await bob.push("two")
    assert await live(bob) == {}
    await take(ada, "new")
    await bob.pull("two")
    write(bob.home / "two", {"new": b"5"})
    with pytest.raises(RemoteError) as caught:
        await bob.push("two")
    assert caught.value.reason == ERROR_REASON_LOCK_HELD
    assert await live(bob) == {"new": "ada"}


def at_the_end_of_reading(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], Awaitable[object]]
) -> None:
    """Lets something happen after a push has read the files and before it proposes its commit."""
    real, loop = Snapshot.complete, asyncio.get_running_loop()

    def complete(self: Snapshot, *arguments: Any) -> None:
        real(self, *arguments)
        monkeypatch.undo()
        asyncio.run_coroutine_threadsafe(asyncio.wait_for(work(), 30), loop).result()

    monkeypatch.setattr(Snapshot, "complete", complete)


async def test_a_lock_that_ran_out_meanwhile_is_taken_again(
    api: Api, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_end_of_reading(monkeypatch, lambda: api.fetch("DELETE FROM locks"))
    write(ada.home / "one", {"a": b"11", "shots/c": None})
    assert (await ada.push("one")).pushed
    assert await live(ada) == {}


async def test_a_lock_that_somebody_took_over_meanwhile_ends_the_push(
    api: Api, ada: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner is stronger than the push, and the text says who."""

    async def taken_over() -> None:
        await api.fetch("DELETE FROM locks")
        await take(bob, "a", reason="urgent")

    await take(ada, "a")
    at_the_end_of_reading(monkeypatch, taken_over)
    write(ada.home / "one", {"a": b"1111"})
    with pytest.raises(RemoteError, match=r'"a" is locked by bob since .*\(urgent\)'):
        await ada.push("one")
    assert await live(ada) == {"a": "bob"}


async def test_locks_are_renewed_while_a_push_runs(
    api: Api, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take(ada, "a", "new", ttl_seconds=10)
    before = await fences(ada)

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
    after = await fences(ada)
    assert after == {"a": before["a"]}
    assert "new" in before


async def fences(person: Person) -> dict[str, int]:
    def run() -> dict[str, int]:
        return {lock.path: lock.fence for lock in locks.list_locks(remote(person))}

    return await asyncio.to_thread(run)


async def test_a_lock_in_the_way_is_found_before_anything_is_uploaded(
    api: Api, ada: Person, bob: Person
) -> None:
    await take(ada, "shots/")
    chunks = await api.value("SELECT count(*) FROM chunks")
    write(bob.home / "two", {"shots/new": NOISE})
    with pytest.raises(RemoteError) as caught:
        await bob.push("two")
    assert caught.value.reason == ERROR_REASON_LOCK_HELD
    assert caught.value.metadata["path"] == "shots/new"
    assert await api.value("SELECT count(*) FROM chunks") == chunks


async def test_a_touched_file_is_in_nobodys_way(ada: Person, bob: Person) -> None:
    await take(ada, "a", "b")
    write(bob.home / "two", {"a": b"1", "shots/c": b"33"})
    assert (await bob.push("two")).changed == 1
    write(bob.home / "two", {"b": b"0"})
    with pytest.raises(RemoteError, match='"b" is locked by ada'):
        await bob.push("two")


async def test_of_a_folder_that_is_gone_the_folder_is_locked(api: Api, ada: Person) -> None:
    write(ada.home / "one", {"shots/c": None, "shots/d/e": None, "moved/d/e": b"4"})
    (ada.home / "one/shots/d").rmdir()
    assert (await ada.push("one")).changed == 3
    query = "SELECT path FROM lock_history WHERE action = 'acquired' AND reason = 'being pushed'"
    assert [row["path"] for row in await api.fetch(query)] == ["shots/"]
    assert await live(ada) == {}


async def test_a_lock_on_something_new_in_the_folder_is_in_nobodys_way(
    api: Api, ada: Person, bob: Person
) -> None:
    await take(bob, "shots/new")
    write(ada.home / "one", {"shots/c": None, "shots/d/e": None})
    assert (await ada.push("one")).changed == 2
    query = """SELECT path FROM lock_history
               WHERE action = 'acquired' AND reason = 'being pushed' ORDER BY path"""
    assert [row["path"] for row in await api.fetch(query)] == ["shots/c", "shots/d/e"]
    assert await live(ada) == {"shots/new": "bob"}


async def test_on_another_branch_the_server_decides(ada: Person, bob: Person) -> None:
    """A path that becomes what it is on the default branch is nobody's edit."""
    write(bob.home / "two", {"b": b"bob's"})
    await bob.push("two", branch="side")
    write(ada.home / "one", {"a": b"ada's"})
    await ada.push("one")
    await take(ada, "a")
    write(bob.home / "two", {"a": b"ada's"})
    assert (await bob.push("two")).branch == "side"
    write(bob.home / "two", {"a": b"bob's own"})
    with pytest.raises(
        RemoteError, match=r'^"a" is locked by ada since \S+ \S+ UTC until \S+ \S+ UTC$'
    ):
        await bob.push("two")


async def test_renewing_outlives_failures(
    api: Api, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal that fails is tried again; of a lock that has ended no more is asked."""
    await take(ada, "a", "b", "new", ttl_seconds=10)
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
    assert await live(bob) == {}


async def test_without_the_lock_service_a_push_that_needs_no_locks_goes_on(
    api: Api, ada: Person
) -> None:
    with Person(api, ada.account, ada.home, lock="127.0.0.1:1") as alone:
        write(ada.home / "one", {"a": b"11"})
        with pytest.raises(RemoteError, match="cannot be reached"):
            await alone.push("one")
        await api.fetch("UPDATE repository_settings SET require_lock_for_edit = false")
        assert (await alone.push("one")).pushed


async def test_on_another_branch_a_shared_lock_is_explained_too(ada: Person, bob: Person) -> None:
    """The server only knows that a lock is missing; the client knows why it could not be had."""
    write(bob.home / "two", {"b": b"bob's"})
    await bob.push("two", branch="side")
    await take(ada, "a", type=LOCK_TYPE_SHARED)
    write(bob.home / "two", {"a": b"bob's own"})
    with pytest.raises(RemoteError, match='"a" is locked by ada') as caught:
        await bob.push("two")
    assert caught.value.reason == ERROR_REASON_LOCK_HELD
    assert await live(bob) == {"a": "ada"}


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
    assert await live(bob) == {}


async def test_many_paths_are_locked_in_batches(ada: Person) -> None:
    write(ada.home / "one", {f"many/{n}": b"%d" % n for n in range(2101)})
    await ada.push("one")
    write(ada.home / "one", {f"many/{n}": None for n in range(2100)})
    report = await ada.push("one")
    assert report.changed == 2100
    assert await live(ada) == {}
