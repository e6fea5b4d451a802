"""Changes are put aside on the server and come back, also with a colleague; nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dits_client.errors import ClientError, ConflictError, RemoteError
from dits_client.progress import Warnings
from dits_client.server.repository import RepositoryClient
from dits_client.shelves import ShelfReport, list_shelves, shelve_folder, unshelve_folder
from dits_client.undo import undo_commit
from dits_client.workspace.untrack import untrack_paths
from tests.support.api import Api
from tests.support.client import Person, Run, read, write
from tests.support.client_locks import live_locks, take_locks
from tests.support.killed_command import run_killed

BEFORE = {"a": b"1", "b": b"2", "d/c": b"3"}
MINE = {"a": b"edited", "b": None, "d/new": b"4", "link": "a"}


async def shelve(who: Person, folder: str, shelf: str = "ada/x", **options: Any) -> ShelfReport:
    path = who.home / folder
    return await asyncio.to_thread(shelve_folder, path, who.client, shelf, **options)


async def unshelve(who: Person, folder: str, shelf: str = "ada/x", **options: Any) -> ShelfReport:
    path = who.home / folder
    return await asyncio.to_thread(unshelve_folder, path, who.client, shelf, **options)


async def names(who: Person, film: str) -> list[str]:
    def run() -> list[str]:
        return [name for name, _ in list_shelves(RepositoryClient(who.client, film))]

    return await asyncio.to_thread(run)


@pytest.fixture
async def one(ada: Person, film: str) -> Path:
    """A folder of ada's with changes."""
    write(ada.home / "one", BEFORE)
    await ada.push("one", film)
    write(ada.home / "one", MINE)
    return ada.home / "one"


async def test_changes_go_and_come_back(ada: Person, one: Path, film: str) -> None:
    changed, head = read(one), (await ada.status("one")).commit
    report = await shelve(ada, "one", message="half done")
    assert (report.shelf, report.changed) == ("ada/x", 4)
    status = await ada.status("one")
    assert (status.branch, status.commit, await ada.changes("one")) == ("main", head, [])
    assert sorted(read(one)) == sorted(BEFORE)
    assert await names(ada, film) == ["ada/x"]
    with pytest.raises(ClientError, match="nothing has changed"):
        await shelve(ada, "one")
    # Work goes on elsewhere in the tree in the meantime.
    write(one, {"d/c": b"33"})
    await ada.push("one")
    write(one, {"other": b"more"})
    with pytest.raises(ClientError, match="there is a shelf ada/x already"):
        await shelve(ada, "one")
    await unshelve(ada, "one")
    assert await ada.changes("one") == ["a", "b", "d/new", "link", "other"]
    write(one, {"other": None, "d/c": b"3"})
    assert read(one) == changed
    assert await names(ada, film) == []
    with pytest.raises(ClientError, match=r"there is no shelf ada/x$"):
        await unshelve(ada, "one")


@pytest.mark.parametrize("is_local", [True, False])
async def test_what_was_changed_otherwise_is_listed(
    ada: Person, one: Path, film: str, is_local: bool
) -> None:
    await shelve(ada, "one")
    write(one, {"a": b"other", "b": b"other", "d/new": b"4"})
    if not is_local:
        await ada.push("one")
    before = read(one)
    with pytest.raises(ConflictError) as caught:
        await unshelve(ada, "one")
    # What is as on the shelf already is no conflict.
    assert caught.value.paths == ["a", "b"]
    assert read(one) == before
    helps = "dits shelve" if is_local else "dits restore PATH --revision shelves/ada/x"
    assert helps in str(caught.value)
    assert await names(ada, film) == ["ada/x"]
    with pytest.raises(ClientError, match=r"no shelf ada/y: did you mean ada/x\?"):
        await unshelve(ada, "one", "ada/y")


async def test_a_colleague_takes_them_over(api: Api, ada: Person, bob: Person, one: Path) -> None:
    changed = read(one)
    await shelve(ada, "one")
    await api.fetch(
        """INSERT INTO repository_collaborators (repo_id, user_id, permission)
           SELECT r.id, u.id, 'write' FROM repositories r, users u WHERE u.username = 'bob'"""
    )
    await bob.clone("ada/film", "two")
    await unshelve(bob, "two", keep=True)
    assert read(bob.home / "two") == changed
    assert await names(bob, "ada/film") == ["ada/x"]


async def test_who_may_only_read_gets_the_changes_and_leaves_the_shelf(
    api: Api, ada: Person, bob: Person, one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = read(one)
    await shelve(ada, "one")
    await api.fetch("UPDATE repositories SET visibility = 'public'")
    await bob.clone("ada/film", "two")
    report = await unshelve(bob, "two", progress=Warnings())
    assert (report.changed, read(bob.home / "two")) == (4, changed)
    assert "are back, and the shelf stays, as with --keep: " in capsys.readouterr().err
    assert await names(ada, "ada/film") == ["ada/x"]


async def test_what_a_colleague_has_locked_can_be_put_aside(
    ada: Person, bob: Person, locked_film: None
) -> None:
    await take_locks(ada, "a")
    await take_locks(bob, "b", release_on_push=True)
    write(bob.home / "two", {"a": b"of bob", "b": b"as well", "shots/c": b"without a lock"})
    await shelve(bob, "two", "bob/x")
    assert await live_locks(bob) == {"a": "ada", "b": "bob"}
    await unshelve(bob, "two", "bob/x")
    with pytest.raises(RemoteError, match="locked"):
        await bob.push("two")


async def test_a_conflict_after_a_killed_pull_names_a_way_out(ada: Person, one: Path) -> None:
    await ada.clone("ada/film", "two")
    await ada.push("one")
    two = ada.home / "two"
    assert await run_killed(ada.environ, two, "state.json", "pull")
    write(one, {"a": b"theirs"})
    await ada.push("one")
    write(two, {"a": b"mine"})
    # Nothing is pushed from half a pull, to a shelf neither, so the message does not say so.
    with pytest.raises(ClientError, match="run `dits pull` first"):
        await shelve(ada, "two")
    with pytest.raises(ConflictError, match=r"would be overwritten \(move them away\):\n  a$"):
        await ada.pull("two")
    (two / "a").rename(two / "a.mine")
    await ada.pull("two")
    assert ((two / "a").read_bytes(), await ada.changes("two")) == (b"theirs", ["a.mine"])
    await shelve(ada, "two")
    assert read(two) == read(one)


async def test_nothing_is_lost_where_it_is_killed(ada: Person, one: Path) -> None:
    changed = read(one)
    assert await run_killed(ada.environ, one, "state.json", "shelve", "x")
    # The state of the folder moves when the shelf is there; until then nothing has happened.
    assert await ada.changes("one") == ["a", "b", "d/new", "link"]
    await shelve(ada, "one", "ada/y")
    assert await run_killed(ada.environ, one, "12", "unshelve", "y")
    await unshelve(ada, "one", "ada/y")
    assert read(one) == changed
    # In the middle of the way back.
    await shelve(ada, "one", "ada/z")
    await unshelve(ada, "one", "ada/z")
    assert await run_killed(ada.environ, one, "checkout", "shelve", "w")
    assert (await ada.status("one")).branch == "shelves/ada/w"
    assert read(one) == changed
    # Both would lose what was put aside: the shelf would go, or only its last commit would come back.
    with pytest.raises(ClientError, match="follows the shelf ada/w itself: run `dits switch`"):
        await unshelve(ada, "one", "ada/w")
    write(one, {"later": b"5"})
    for options in ({}, {"force": True}, {"branch": "shelves/ada/w"}):
        with pytest.raises(ClientError, match="a shelf, which has one commit: run `dits switch`"):
            await ada.push("one", **options)
    write(one, {"later": None})
    await ada.switch("one", "main")
    assert sorted(read(one)) == sorted(BEFORE)
    await unshelve(ada, "one", "ada/w")
    assert read(one) == changed


async def test_untracking_is_pushed_before_a_shelf(ada: Person, one: Path, film: str) -> None:
    write(one, {**BEFORE, "d/new": None, "link": None, ".ditsignore": b"a\n"})
    await asyncio.to_thread(untrack_paths, one, lambda: ada.client, ["a"])
    write(one, {"a": b"ignored by now, and edited"})
    with pytest.raises(ClientError, match="`dits untrack` waits for its push: run `dits push`"):
        await shelve(ada, "one")
    assert await names(ada, film) == []


async def test_the_commands(run: Run, film_folder: Path) -> None:
    write(film_folder, {"a": b"mine"})
    assert await run("shelve", "-m", "half") == (
        "On the shelf ada/1: 1 change. They come back with `dits unshelve ada/1`.\n"
    )
    write(film_folder, {"a": b"another"})
    await run("shelve", "-q")
    assert "shelves" not in await run("branch", "list")
    lines = (await run("shelves")).splitlines()
    assert [line.split()[0] for line in lines] == ["SHELF", "ada/1", "ada/2"]
    assert lines[1].endswith("half")
    assert '"changed": 1' in await run("unshelve", "1", "--json")
    assert (film_folder / "a").read_bytes() == b"mine"
    assert "`dits shelve` them):\n  a\n" in await run("unshelve", "ada/2", fails=True)


async def test_a_file_in_place_of_a_folder_comes_back(ada: Person, one: Path) -> None:
    """And the reverse; an undo brings back what was there before."""
    await ada.push("one")
    before = read(one)
    write(one, {"d/c": None, "d/new": None, "a": None})
    (one / "d").rmdir()
    write(one, {"d": b"a file", "a/x": b"below"})
    mine = read(one)
    await shelve(ada, "one")
    assert read(one) == before
    await unshelve(ada, "one")
    assert read(one) == mine
    await ada.push("one")
    await asyncio.to_thread(undo_commit, one, ada.client)
    assert read(one) == before
    assert await ada.changes("one") == []
