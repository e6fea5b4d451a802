"""The client and locks: taken and released by pushes, and by the commands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dits_client import locks
from dits_client.errors import RemoteError
from tests.api import Api
from tests.integration.test_client_support import Person, write

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


async def live(person: Person) -> dict[str, str]:
    """Path and holder of every live lock."""

    def run() -> dict[str, str]:
        return {lock.path: lock.owner for lock in locks.live(person.client, REPOSITORY)}

    return await asyncio.to_thread(run)


async def take(person: Person, *paths: str, **options: object) -> None:
    def run() -> None:
        made = locks.Options(**options)  # type: ignore[arg-type]
        list(locks.acquire(person.client, REPOSITORY, paths, made))

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
    assert caught.value.reason == "LOCK_HELD"
    told = str(caught.value)
    assert re.fullmatch(
        r'"shots/d/e" is locked by ada since [-0-9]+ [:0-9]+ UTC until [-0-9]+ [:0-9]+ UTC \(grading\)',
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
    assert caught.value.reason == "LOCK_HELD"
    assert await live(bob) == {"new": "ada"}


async def test_a_lock_that_ran_out_meanwhile_is_taken_again(
    api: Api, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = locks.hold
    loop = asyncio.get_running_loop()
    calls = []

    def hold(*arguments: object) -> locks.Held:
        held = real(*arguments)  # type: ignore[arg-type]
        calls.append(len(held.locks))
        if len(calls) == 1:
            end = api.fetch("DELETE FROM locks")
            asyncio.run_coroutine_threadsafe(end, loop).result()
        return held

    monkeypatch.setattr(locks, "hold", hold)
    write(ada.home / "one", {"a": b"11"})
    assert (await ada.push("one")).pushed
    assert calls == [1, 1]
    assert await live(ada) == {}


async def test_many_paths_are_locked_in_batches(ada: Person) -> None:
    write(ada.home / "one", {f"many/{n}": b"%d" % n for n in range(2100)})
    await ada.push("one")
    write(ada.home / "one", {f"many/{n}": None for n in range(2100)})
    report = await ada.push("one")
    assert report.changed == 2100
    assert await live(ada) == {}
