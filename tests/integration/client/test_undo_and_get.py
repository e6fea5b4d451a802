"""A push is taken back by another one; single files of any revision are written elsewhere."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from dits_client.checkout.get_file import find_file, get_file
from dits_client.errors import ClientError, ConflictError, RemoteError
from dits_client.push.report import PushReport
from dits_client.server.repository import RepositoryClient
from dits_client.undo import undo_commit
from tests.support.client import Person, Run, read, write
from tests.support.client_locks import live_locks, take_locks


async def undo(who: Person, folder: str, revision: str = "") -> PushReport:
    return await asyncio.to_thread(undo_commit, who.home / folder, who.client, revision)


def read_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
async def one(ada: Person, film: str) -> Path:
    """A folder of ada's with two commits."""
    write(ada.home / "one", {"a": b"1", "b": b"2", "d/c": b"3"})
    await ada.push("one", film)
    return ada.home / "one"


async def test_a_push_is_taken_back(ada: Person, one: Path) -> None:
    before = read(one)
    write(one, {"a": b"11", "b": None, "new/x": b"4"})
    second = (await ada.push("one", message="a mistake\n\nof mine")).commit
    report = await undo(ada, "one")
    assert (report.pushed, report.changed) == (True, 3)
    assert read(one) == before
    assert await ada.changes("one") == []
    # What was taken back is in the history, and comes back the same way.
    await undo(ada, "one")
    assert read(one)["a"] == (0o644, b"11")
    # An older one, where the same files were changed since.
    write(one, {"a": b"111"})
    await ada.push("one")
    with pytest.raises(ConflictError) as caught:
        await undo(ada, "one", second)
    assert caught.value.paths == ["a"]
    assert await ada.changes("one") == []


async def test_a_revision_that_is_not_there_is_named(ada: Person, one: Path) -> None:
    remote = RepositoryClient(ada.client, "ada/film")
    for named, match in (
        ("a@mian", r"no branch, tag or commit mian: did you mean main\?"),
        ("x@main", 'no file "x" in main'),
        ("x", 'no file "x" in main'),
    ):
        with pytest.raises(ClientError, match=match):
            await asyncio.to_thread(find_file, remote, named, "main")


async def test_what_an_undo_refuses(ada: Person, one: Path) -> None:
    await ada.clone("ada/film", "two")
    write(one, {"a": b"11"})
    first = (await ada.push("one")).commit
    with pytest.raises(ClientError, match="not at the newest main: run `dits pull`"):
        await undo(ada, "two")
    write(one, {"b": b"mine"})
    with pytest.raises(ClientError, match='"b" has changes that are not pushed'):
        await undo(ada, "one")
    # An undo that was interrupted before its push goes on.
    write(one, {"b": b"2", "a": b"1"})
    assert (await undo(ada, "one")).pushed
    with pytest.raises(RemoteError, match="0000"):
        await undo(ada, "one", "0" * 12)
    assert not (await undo(ada, "one", first)).pushed


async def test_an_undo_of_ignore_rules_leaves_what_they_ignored_alone(
    ada: Person, one: Path
) -> None:
    write(one, {".ditsignore": b"*.tmp\n/cache\n", "d/x": b"4"})
    await ada.push("one")
    write(one, {"a.tmp": b"mine", "d/b.tmp": b"mine", "cache/e": b"mine"})
    assert (await undo(ada, "one")).changed == 2
    assert await ada.changes("one") == ["a.tmp", "cache/e", "d/b.tmp"]
    assert read(one)["a.tmp"] == read(one)["cache/e"] == (0o644, b"mine")


async def test_an_ignored_file_where_an_undo_writes_is_a_conflict(ada: Person, one: Path) -> None:
    write(one, {"a": None, "b": None, ".ditsignore": b"a\n"})
    await ada.push("one")
    write(one, {"a": b"mine"})
    with pytest.raises(ConflictError, match="move them away") as caught:
        await undo(ada, "one")
    assert caught.value.paths == ["a"]
    assert not await ada.changes("one")
    assert read(one)["a"] == (0o644, b"mine")


@pytest.mark.usefixtures("locked_film")
async def test_an_undo_takes_the_locks_that_it_needs(ada: Person, bob: Person) -> None:
    write(ada.home / "one", {"a": b"11"})
    await ada.push("one")
    await take_locks(bob, "a")
    with pytest.raises(RemoteError, match="locked by bob"):
        await undo(ada, "one")
    assert await ada.changes("one") == ["a"]
    assert await live_locks(ada) == {"a": "bob"}


async def test_files_of_any_revision(ada: Person, one: Path, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    write(one, {"a": content, "pic@2x.png": b"twice", "empty": b""})
    (one / "a").chmod(0o750)
    await ada.push("one")
    first = (await ada.status("one")).commit
    write(one, {"a": b"later"})
    await ada.push("one")
    remote = RepositoryClient(ada.client, "ada/film")

    def get(named: str, name: str) -> Path:
        _, file = find_file(remote, named, "main")
        get_file(remote, file, tmp_path / name)
        return tmp_path / name

    async def run(*arguments: Any) -> Path:
        return await asyncio.to_thread(get, *arguments)

    assert (await run(f"a@{first[:12]}", "old")).read_bytes() == content
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o750
    assert (await run("a", "new")).read_bytes() == b"later"
    assert (await run("pic@2x.png", "pic")).read_bytes() == b"twice"
    assert (await run(f"pic@2x.png@{first}", "pic too")).read_bytes() == b"twice"
    assert (await run("empty", "empty")).read_bytes() == b""
    for named in ("d", "nothing", "nothing@main", "a@"):
        with pytest.raises(ClientError, match="there is no file"):
            await run(named, "none")
    with pytest.raises(ClientError, match="is there already"):
        await run("a", "old")
    with pytest.raises(ClientError, match="cannot write"):
        await run("a", "no/folder")
    assert {name for name in read_names(tmp_path) if name != "ada"} == {
        "old", "new", "pic", "pic too", "empty",
    }  # fmt: skip


async def test_the_commands(run: Run, film_folder: Path) -> None:
    write(film_folder, {"a": b"11"})
    await run("push", "-q", "-m", "bad")
    assert "1 changed back" in await run("undo")
    assert (film_folder / "a").read_bytes() == b"1"
    assert '    Undo "bad"' in await run("show")
    await run("get", "shots/b@main", "-o", "out")
    assert (film_folder / "out").read_bytes() == b"2"
    assert "is there already" in await run("get", "a", fails=True)


async def test_the_first_commit_is_taken_back_by_force_alone(run: Run, film_folder: Path) -> None:
    before = read(film_folder)
    told = await run("undo", fails=True)
    assert "is the first commit: to take it back removes the 2 files that it brought" in told
    assert "--force" in told
    assert read(film_folder) == before
    told = await run("undo", "--force")
    assert "2 changed back, 2 of them removed" in told
    assert read(film_folder) == {}
    # As it says.
    assert "`dits undo` again brings them back" in told
    assert "removed" not in await run("undo")
    assert read(film_folder) == before
