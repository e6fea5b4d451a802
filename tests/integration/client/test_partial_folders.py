"""Folders that have only a part of their commit: the rest is neither fetched, nor read, nor deleted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dits_client.checkout.include import exclude_paths, include_paths
from dits_client.checkout.merge import MergeOptions, merge_branches
from dits_client.checkout.report import CheckoutReport
from dits_client.checkout.restore import restore_paths
from dits_client.errors import ClientError, ConflictError
from dits_client.server.repository import RepositoryClient
from dits_client.shelves import shelve_folder, unshelve_folder
from dits_client.undo import undo_commit
from tests.support.client import Person, Run, read, write
from tests.support.killed_command import run_killed

FILES = {
    ".ditsignore": b"*.tmp\n",
    "top": b"0",
    "shots/010/a": b"1",
    "shots/010/b": b"2",
    "shots/020/a": b"3",
    "shots/list": b"4",
    "renders/r1": b"5",
    "renders/deep/r2": b"6",
}


async def include(who: Person, folder: str, *paths: str, **options: Any) -> CheckoutReport:
    place = who.home / folder
    return await asyncio.to_thread(include_paths, place, who.client, paths, **options)


async def exclude(who: Person, folder: str, *paths: str) -> CheckoutReport:
    return await asyncio.to_thread(exclude_paths, who.home / folder, who.client, paths)


def names(folder: Path) -> set[str]:
    return set(read(folder)) - {".ditsignore"}


@pytest.fixture
async def one(ada: Person, film: str) -> Path:
    """A folder with everything."""
    write(ada.home / "one", FILES)
    await ada.push("one", film)
    return ada.home / "one"


@pytest.fixture
async def two(ada: Person, film: str, one: Path) -> Path:
    """A folder with one shot only."""
    await ada.clone(film, "two", only=["shots/010/"])
    return ada.home / "two"


async def test_a_push_from_a_part_changes_nothing_outside(
    ada: Person, one: Path, two: Path
) -> None:
    assert names(two) == {"shots/010/a", "shots/010/b"}
    assert await ada.changes("two") == []
    assert (await ada.push("two")).pushed is False
    write(two, {"shots/010/a": b"edit", "shots/010/b": None, "shots/010/new": b"7"})
    report = await ada.push("two")
    assert (report.pushed, report.changed, report.files) == (True, 3, 3)
    await ada.pull("one")
    assert names(one) == set(FILES) - {".ditsignore", "shots/010/b"} | {"shots/010/new"}
    # With nothing left of what is included; without its index the client asks the server.
    write(two, dict.fromkeys(names(two)))
    (two / "shots/010").rmdir()
    (two / "shots").rmdir()
    (two / ".dits/index").unlink()
    assert (await ada.push("two")).changed == 2
    await ada.pull("one")
    assert names(one) == {path for path in FILES if "010" not in path} - {".ditsignore"}


async def test_what_others_change_outside_comes_into_the_tree_alone(
    ada: Person, one: Path, two: Path
) -> None:
    write(one, {"renders/r1": b"theirs", "shots/020/a": None, "shots/010/c": b"8", "top": None})
    await ada.push("one")
    write(two, {"shots/010/a": b"mine"})
    assert (await ada.pull("two")).files == 1
    assert await ada.changes("two") == ["shots/010/a"]
    # The index is older than what the folder follows, as after a crash.
    (two / ".dits/index").unlink()
    await ada.push("two")
    await ada.pull("one")
    assert read(one)["renders/r1"] == (0o644, b"theirs")
    assert names(one) == {*FILES, "shots/010/c"} - {".ditsignore", "shots/020/a", "top"}
    assert read(one)["shots/010/a"] == (0o644, b"mine")


async def test_an_index_of_another_commit_reverts_nothing_outside(
    ada: Person, one: Path, two: Path
) -> None:
    stale = (two / ".dits/index").read_bytes()
    write(one, {"renders/r1": b"theirs", "top": b"theirs"})
    await ada.push("one")
    await ada.pull("two")
    (two / ".dits/index").write_bytes(stale)
    assert await ada.changes("two") == []
    write(two, {"shots/010/a": b"mine"})
    assert (await ada.push("two")).changed == 1
    await ada.pull("one")
    assert read(one)["renders/r1"] == read(one)["top"] == (0o644, b"theirs")


async def test_what_is_included_grows_and_shrinks(ada: Person, one: Path, two: Path) -> None:
    assert (await include(ada, "two", "renders", levels=1)).files == 1
    assert names(two) == {"shots/010/a", "shots/010/b", "renders/r1"}
    assert (await include(ada, "two", "renders", "shots/list")).files == 2
    with pytest.raises(ClientError, match='"nowhere" is not in the commit'):
        await include(ada, "two", "nowhere")
    assert (await exclude(ada, "two", "shots")).removed == 3
    assert names(two) == {"renders/r1", "renders/deep/r2"}
    assert not (two / "shots").exists()
    with pytest.raises(ClientError, match='does not include "shots/010"'):
        await exclude(ada, "two", "shots/010")
    assert await ada.changes("two") == []
    # Everything, and all but something.
    await include(ada, "two")
    assert read(two) == read(one)
    write(two, {"renders/ignored.tmp": b"mine"})
    await exclude(ada, "two", "renders")
    assert names(two) - names(one) == {"renders/ignored.tmp"}
    assert (await ada.status("two")).outside == []
    assert not (await ada.push("two")).pushed


async def test_no_change_of_the_users_is_lost(ada: Person, one: Path, two: Path) -> None:
    write(two, {"shots/010/a": b"mine", "shots/010/b": None, "shots/010/new": b"mine"})
    with pytest.raises(ConflictError) as caught:
        await exclude(ada, "two", "shots/010")
    assert caught.value.paths == ["shots/010/a", "shots/010/b", "shots/010/new"]
    write(two, {"shots/010/a": b"1", "shots/010/b": b"2", "shots/010/new": None})
    # What is made outside is not pushed; included, it is a change, or a conflict.
    write(two, {"renders/r1": b"other", "renders/mine": b"mine", "x.tmp": b"", "plain": b"mine"})
    status = await ada.status("two")
    assert status.outside == ["plain", "renders/"]
    assert not (await ada.push("two")).pushed
    # A shelf takes nothing that is not included.
    with pytest.raises(ConflictError, match=r"\(move them away\):") as caught:
        await include(ada, "two", "renders")
    assert caught.value.paths == ["renders/r1"]
    write(two, {"renders/r1": b"5"})
    await include(ada, "two", "renders", "plain")
    assert await ada.changes("two") == ["plain", "renders/mine"]
    # A name that is something else in the commit.
    write(two, {"shots/list/x": b"mine"})
    await include(ada, "two", "shots/list/x")
    assert "shots/list" in (await ada.status("two")).unusable[0]
    (told,) = (await ada.push("two")).left_out
    assert '"shots/list" is something else in the commit' in told


async def test_branches_shelves_and_undo_of_a_part(
    ada: Person, film: str, one: Path, two: Path
) -> None:
    await ada.switch("one", "side", create=True)
    write(one, {"shots/010/a": b"side", "renders/r1": b"side", "renders/new/x": b"side"})
    outside = (await ada.push("one")).commit
    await ada.switch("two", "side")
    assert read(two)["shots/010/a"] == (0o644, b"side")
    # Both branches changed what is outside, in different files: nobody needs their contents.
    await ada.switch("two", "main")
    await ada.switch("one", "main")
    write(one, {"top": b"main", "renders/deep/r2": b"main"})
    await ada.push("one")
    remote = RepositoryClient(ada.client, film)
    await asyncio.to_thread(merge_branches, remote, MergeOptions("side", "main"))
    await ada.pull("two")
    assert names(two) == {"shots/010/a", "shots/010/b"}
    await ada.pull("one")
    assert read(one)["renders/new/x"] == (0o644, b"side")
    with pytest.raises(ConflictError, match="this folder does not include") as told:
        await asyncio.to_thread(undo_commit, two, ada.client, outside)
    assert told.value.paths == ["renders/new/x", "renders/r1"]
    write(two, {"shots/010/a": b"mine"})
    await asyncio.to_thread(shelve_folder, two, ada.client, "ada/1")
    assert read(two)["shots/010/a"] == (0o644, b"side")
    await asyncio.to_thread(unshelve_folder, two, ada.client, "ada/1")
    assert await ada.changes("two") == ["shots/010/a"]
    await ada.push("two")
    await asyncio.to_thread(undo_commit, two, ada.client)
    assert read(two)["shots/010/a"] == (0o644, b"side")
    with pytest.raises(ConflictError, match="does not include"):
        await asyncio.to_thread(restore_paths, two, ada.client, ["renders"])
    # Of a folder that is included in part, what is included.
    write(two, {"shots/010/b": None})
    report = await asyncio.to_thread(restore_paths, two, ada.client, ["shots"], force=True)
    assert names(two) == {"shots/010/a", "shots/010/b"}
    assert report.files == 1


async def test_a_killed_include_or_exclude_goes_on(ada: Person, one: Path, two: Path) -> None:
    part, more = {"shots/010/a", "shots/010/b"}, {"renders/r1", "renders/deep/r2", "top"}
    for command, way_out, where, there in (
        ("include", include, ".part", part | more),
        ("exclude", None, "r1", part),
        # Not wanted any more.
        ("include", exclude, ".part", part),
    ):
        assert await run_killed(ada.environ, two, where, command, "renders", "top")
        assert (await ada.status("two")).interrupted == "main"
        with pytest.raises(ClientError, match="interrupted"):
            await ada.push("two", branch="other")
        if way_out is None:
            await ada.pull("two")
        else:
            await way_out(ada, "two", "renders", "top")
        assert names(two) == there
        assert await ada.changes("two") == []


async def test_the_commands(run: Run, film_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(film_folder, {"renders/r": b"3"})
    await run("push")
    monkeypatch.chdir(film_folder.parent)
    told = await run("clone", "film", "part", "--only", "shots", "--depth", "1")
    assert "1 file written" in told
    monkeypatch.chdir(film_folder.parent / "part")
    assert "Only a part is included: shots (1 level).\nNothing has changed." in await run("status")
    assert '"included": {".ditsignore": null, "shots": 1}' in await run("status", "--json")
    assert "Included: 1 file written" in await run("include", "renders/")
    assert "Excluded: 0 files written, 1 removed" in await run("exclude", "renders")
    assert '"shots/typo" is not in the commit' in await run("exclude", "shots/typo", fails=1)
    write(Path(), {"mine": b"x"})
    assert "  outside  mine" in await run("status")
    assert "name what to include, or say --all" in await run("include", fails=2)
    assert "2 files written" in await run("include", "--all")
    assert "--depth goes with --only" in await run("clone", "film", "x", "--depth", "1", fails=2)
