"""Locks of a push: found, taken, used and released."""

from __future__ import annotations

import re

import pytest
from dits.common.v1.error_reason_pb2 import ERROR_REASON_LOCK_HELD
from dits.common.v1.lock_type_pb2 import LOCK_TYPE_SHARED

from dits_client.errors import RemoteError
from dits_client.server import backoff
from tests.support.api import Api
from tests.support.client import NOISE, Person, write
from tests.support.client_locks import live_locks, take_locks

pytestmark = pytest.mark.usefixtures("locked_film")


async def test_a_push_takes_and_releases_what_it_needs(api: Api, ada: Person) -> None:
    write(ada.home / "one", {"a": b"11", "shots/c": None, "new": b"5"})
    assert (await ada.push("one")).pushed
    assert await live_locks(ada) == {}
    # A folder from which one file went is not locked: others may work in it.
    taken = "SELECT array_agg(path ORDER BY path) FROM lock_history WHERE action = 'acquired'"
    assert await api.value(taken) == ["a", "shots/c"]


async def test_locks_of_ones_own_are_used_and_kept(ada: Person) -> None:
    await take_locks(ada, "a", "shots/")
    await take_locks(ada, "b", release_on_push=True)
    write(ada.home / "one", {"a": b"11", "b": b"22", "shots/c": b"33", "shots/d/e": None})
    assert (await ada.push("one")).pushed
    assert await live_locks(ada) == {"a": "ada", "shots/": "ada"}


async def test_a_lock_of_someone_else_is_explained(ada: Person, bob: Person) -> None:
    await take_locks(ada, "shots/", reason="grading")
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
    assert await live_locks(bob) == {"shots/": "ada"}


async def test_a_failed_push_releases_its_locks(ada: Person, bob: Person) -> None:
    write(ada.home / "one", {"b": b"22"})
    await ada.push("one")
    write(bob.home / "two", {"a": b"11"})
    with pytest.raises(RemoteError, match="run `dits pull` first"):
        await bob.push("two")
    assert await live_locks(bob) == {}
    await take_locks(ada, "new")
    await bob.pull("two")
    write(bob.home / "two", {"new": b"5"})
    with pytest.raises(RemoteError) as caught:
        await bob.push("two")
    assert caught.value.reason == ERROR_REASON_LOCK_HELD
    assert await live_locks(bob) == {"new": "ada"}


async def test_a_lock_in_the_way_is_found_before_anything_is_uploaded(
    api: Api, ada: Person, bob: Person
) -> None:
    await take_locks(ada, "shots/")
    chunks = await api.value("SELECT count(*) FROM chunks")
    write(bob.home / "two", {"shots/new": NOISE})
    with pytest.raises(RemoteError) as caught:
        await bob.push("two")
    assert caught.value.reason == ERROR_REASON_LOCK_HELD
    assert caught.value.metadata["path"] == "shots/new"
    assert await api.value("SELECT count(*) FROM chunks") == chunks


async def test_a_touched_file_needs_no_lock(ada: Person, bob: Person) -> None:
    await take_locks(ada, "a", "b")
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
    assert await live_locks(ada) == {}


async def test_a_lock_on_something_new_does_not_prevent_the_removal_of_a_folder(
    api: Api, ada: Person, bob: Person
) -> None:
    await take_locks(bob, "shots/new")
    write(ada.home / "one", {"shots/c": None, "shots/d/e": None})
    assert (await ada.push("one")).changed == 2
    query = """SELECT path FROM lock_history
               WHERE action = 'acquired' AND reason = 'being pushed' ORDER BY path"""
    assert [row["path"] for row in await api.fetch(query)] == ["shots/c", "shots/d/e"]
    assert await live_locks(ada) == {"shots/new": "bob"}


async def test_on_another_branch_the_server_decides(ada: Person, bob: Person) -> None:
    """A path may become what it is on the default branch without a lock."""
    write(bob.home / "two", {"b": b"bob's"})
    await bob.push("two", branch="side")
    write(ada.home / "one", {"a": b"ada's"})
    await ada.push("one")
    await take_locks(ada, "a")
    write(bob.home / "two", {"a": b"ada's"})
    assert (await bob.push("two")).branch == "side"
    write(bob.home / "two", {"a": b"bob's own"})
    with pytest.raises(
        RemoteError, match=r'^"a" is locked by ada since \S+ \S+ UTC until \S+ \S+ UTC$'
    ):
        await bob.push("two")


async def test_without_the_lock_service_a_push_that_needs_no_locks_goes_on(
    api: Api, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "AWAY_SECONDS", 0.1)
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
    await take_locks(ada, "a", type=LOCK_TYPE_SHARED)
    write(bob.home / "two", {"a": b"bob's own"})
    with pytest.raises(RemoteError, match='"a" is locked by ada') as caught:
        await bob.push("two")
    assert caught.value.reason == ERROR_REASON_LOCK_HELD
    assert await live_locks(bob) == {"a": "ada"}


async def test_many_paths_are_locked_in_batches(ada: Person) -> None:
    write(ada.home / "one", {f"many/{n}": b"%d" % n for n in range(2101)})
    await ada.push("one")
    write(ada.home / "one", {f"many/{n}": None for n in range(2100)})
    report = await ada.push("one")
    assert report.changed == 2100
    assert await live_locks(ada) == {}
