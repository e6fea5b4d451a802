"""Files that the folder ignores are brought by a shelf, an undo or a restore."""

from __future__ import annotations

import asyncio

import pytest

from dits_client.checkout.restore import restore_paths
from dits_client.errors import ConflictError, RemoteError
from dits_client.progress import Warnings
from dits_client.server.locks import list_locks, release_locks
from dits_client.shelves import shelve_folder, unshelve_folder
from dits_client.undo import undo_commit
from tests.support.client import Person, read, write
from tests.support.client_locks import remote, take_locks


async def drop_locks(person: Person) -> None:
    def run() -> None:
        release_locks(remote(person), [lock.id for lock in list_locks(remote(person))])

    await asyncio.to_thread(run)


async def test_a_shelf_takes_in_what_it_left_as_ignored(
    ada: Person, film: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ada.home / "one"
    write(one, {".ditsignore": b"*.tmp\n", "d/x.tmp": b"mine"})
    await ada.push("one", film)
    write(one, {"d/.ditsignore": b"!x.tmp\n"})
    assert await ada.changes("one") == ["d/.ditsignore", "d/x.tmp"]
    mine = read(one)
    await asyncio.to_thread(shelve_folder, one, ada.client, "ada/x")
    assert await ada.changes("one") == []
    # By the rules of the commit it was ignored before.
    assert read(one)["d/x.tmp"] == (0o644, b"mine")
    write(one, {"d/x.tmp": b"edited"})
    with pytest.raises(ConflictError, match="move them away") as caught:
        await asyncio.to_thread(unshelve_folder, one, ada.client, "ada/x")
    assert caught.value.paths == ["d/x.tmp"]
    write(one, {"d/x.tmp": b"mine"})
    await asyncio.to_thread(unshelve_folder, one, ada.client, "ada/x", progress=Warnings())
    assert (read(one), capsys.readouterr().err) == (mine, "")
    assert await ada.changes("one") == ["d/.ditsignore", "d/x.tmp"]


async def test_what_comes_and_is_ignored_is_named(
    ada: Person, film: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be no change of the folder, and no push would have it."""
    one = ada.home / "one"
    write(one, {"a": b"1", "d/old.log": b"1"})
    await ada.push("one", film)
    first = (await ada.status("one")).commit
    write(one, {"d/new.log": b"2"})
    await asyncio.to_thread(shelve_folder, one, ada.client, "ada/x")
    write(one, {"d/old.log": None, ".ditsignore": b"*.log\n"})
    await ada.push("one")
    await asyncio.to_thread(unshelve_folder, one, ada.client, "ada/x", progress=Warnings())
    assert '"d/new.log": ignored here' in capsys.readouterr().err
    for _ in range(2):
        await asyncio.to_thread(
            restore_paths, one, ada.client, ["a", "d"], revision=first, progress=Warnings()
        )
        assert '"d/old.log": ignored here' in capsys.readouterr().err
    assert read(one)["d/old.log"] == (0o644, b"1")
    assert await ada.changes("one") == []


@pytest.mark.usefixtures("locked_film")
async def test_an_undo_whose_push_was_refused_is_completed_by_the_same_command(
    ada: Person, bob: Person
) -> None:
    one = ada.home / "one"
    write(one, {"a": b"11", "x.tmp": b"mine"})
    await ada.push("one")
    write(one, {"a": b"2", "x.tmp": None})
    await ada.push("one")
    wrong = (await ada.status("one")).commit
    write(one, {".ditsignore": b"*.tmp\n"})
    await ada.push("one")
    await take_locks(bob, "a")
    with pytest.raises(RemoteError, match="locked by bob"):
        await asyncio.to_thread(undo_commit, one, ada.client, wrong)
    assert read(one)["x.tmp"] == (0o644, b"mine")
    await drop_locks(bob)
    assert (await asyncio.to_thread(undo_commit, one, ada.client, wrong)).changed == 2
