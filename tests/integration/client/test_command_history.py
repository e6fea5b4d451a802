"""`dits log`, `diff`, `show`, `merge` and `restore` against running services."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
from pathlib import Path

import pytest

from dits_client.cli.main import main
from dits_client.terminal import format_count
from tests.support.api import Api
from tests.support.client import Run, read, write


@pytest.fixture
async def shots(run: Run, logged_in: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two branches, main and side, which both changed `a`; it follows main."""
    del logged_in
    await run("repo", "create", "film", "--no-require-lock")
    folder = home / "film"
    write(folder, {"a": b"1", "shots/b": b"2", "shots/c": b"3"})
    monkeypatch.chdir(folder)
    await run("init")
    await run("push", "-m", "first")
    write(folder, {"a": b"side", "shots/b": b"22"})
    await run("push", "-m", "on the side", "--branch", "side")
    await run("clone", "ada/film", str(home / "main"))
    monkeypatch.chdir(home / "main")
    write(home / "main", {"a": b"main", "new": b"4"})
    await run("push", "-m", "on main")
    return home / "main"


async def test_histories_are_listed_and_compared(run: Run, shots: Path) -> None:
    del shots
    titles = [line.rpartition("  ")[2] for line in (await run("log")).splitlines()]
    assert titles == ["on main", "first"]
    assert "on the side" in await run("log", "--revision", "side", "--not", "main")
    assert "first" not in await run("log", "--revision", "side", "--not", "main")
    assert await run("log", "--author", "nobody") == ""
    assert await run("log", "--until", "2001-01-01") == ""
    recent = await run("log", "--since", "2001-01-01T10:00", "--author", "ADA")
    assert len(recent.splitlines()) == 2
    told = (await run("diff", "main", "side", "--new-bytes")).splitlines()
    assert told == [
        "M  a  (4 B -> 4 B, 4 B new)",
        "D  new  (1 B)",
        "M  shots/b  (1 B -> 2 B, 2 B new)",
        "2 modified, 1 deleted; 6 B before, 6 B after, 6 B really new.",
    ]
    assert (await run("diff", "side", "--path", "shots")).startswith("M  shots/b  (2 B -> 1 B)")
    lines = (await run("diff", "main", "side", "--json")).splitlines()
    assert [json.loads(line)["path"] for line in lines[:-1]] == ["a", "new", "shots/b"]
    assert await run("diff", "main", "main") == "Nothing differs.\n"


async def test_a_log_of_a_mistyped_path_says_so(
    shots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del shots
    capsys.readouterr()
    assert await asyncio.to_thread(main, ("log", "shots/typo")) == 0
    assert capsys.readouterr() == ("", 'dits: no such commit has changed "shots/typo"\n')


async def test_a_commit_is_shown_with_its_changes(run: Run, shots: Path) -> None:
    del shots
    told = await run("show")
    assert told.startswith("commit ")
    assert "author ada <ada@example.org>" in told
    assert "\n    on main\n" in told
    assert "\nM  a  (1 B -> 4 B)\nA  new  (1 B)\n" in told
    first = (await run("log")).splitlines()[-1].split()[0]
    assert "3 added; 0 B before, 3 B after." in await run("show", first)
    assert "nothing" in await run("show", "nothing", fails=True)


async def test_branches_are_merged_on_the_server(run: Run, shots: Path) -> None:
    told = await run("merge", "side", fails=True)
    assert "main and side both changed 1 path:" in told
    assert "a: ours 4 bytes, theirs 4 bytes" in told
    told = await run("merge", "side", "--dry-run")
    assert told.startswith("Cannot merge side into main: 1 conflict.\n  a: ours")
    told = await run("merge", "side", "--theirs", "a", "--dry-run")
    assert told.startswith("Would merge side into main.\n")
    assert (shots / "a").read_bytes() == b"main"
    told = await run("merge", "side", "--theirs", "a", "-m", "both")
    assert told.startswith("Merged side into main, at ")
    assert (shots / "a").read_bytes() == b"side"
    assert (shots / "shots/b").read_bytes() == b"22"
    assert (await run("show")).count("\nparent ") == 2
    lines = (await run("log", "--graph")).splitlines()
    assert [line.split("  ")[-1] for line in lines if "*" in line][0::3] == ["both", "first"]
    assert [line for line in lines if "*" not in line] == ["|\\", "|/"]
    assert sorted(line[:4] for line in lines[2:4]) == ["* | ", "| * "]
    assert "without a path" in await run("log", "a", "--graph", fails=2)
    assert "Nothing to merge: main has all of side." in await run("merge", "side")
    assert "Moved side to main" in await run("merge", "main", "--into", "side")
    assert "has no branch nowhere" in await run("merge", "main", "--into", "nowhere", fails=True)
    told = await run("merge", "main", "--into", "Site", fails=True)
    assert told == "dits: ada/film has no branch Site: did you mean side?\n"
    told = await run("clone", "film", "x", "--revision", "mian", fails=True)
    assert told == "dits: ada/film has no branch, tag or commit mian: did you mean main?\n"


async def test_a_pull_brings_another_branch_along(run: Run, shots: Path) -> None:
    write(shots, {"a": b"side"})
    await run("push", "-m", "as they have it")
    await run("pull", "--from", "side")
    assert (shots / "shots/b").read_bytes() == b"22"
    assert "Nothing has changed." in await run("status")


async def test_files_come_back(run: Run, shots: Path) -> None:
    write(shots, {"a": None, "shots/b": b"edited"})
    assert "local changes would be overwritten" in await run("restore", "shots", fails=True)
    assert (shots / "shots/b").read_bytes() == b"edited"
    assert "1 file as in" in await run("restore", "a")
    assert (shots / "a").read_bytes() == b"main"
    assert "1 file as in" in await run("restore", "shots", "--force")
    assert (shots / "shots/b").read_bytes() == b"2"
    assert "Nothing has changed." in await run("status")
    told = json.loads(await run("restore", "a", "shots", "--revision", "side", "--json"))
    # The third file is as on the side already.
    assert (told["files"], told["bytes"]) == (2, 6)
    assert (shots / "a").read_bytes() == b"side"
    assert "changed  a" in await run("status")
    told = await run("restore", "nothing", fails=True)
    assert re.fullmatch(r'dits: "nothing" is not in commit [0-9a-f]{12}\n', told)
    (shots / ".dits/state.json").unlink()
    await run("init", "--repository", "ada/film")
    assert "no commit yet: run `dits pull`" in await run("restore", "a", fails=True)


@pytest.mark.parametrize("mine", [b"mine", "a"])
async def test_a_restore_by_force_takes_the_place_that_it_needs(
    run: Run, shots: Path, mine: bytes | str
) -> None:
    before = read(shots)
    shutil.rmtree(shots / "shots")
    write(shots, {"shots": mine, "a": None})
    write(shots, {"a/x": b"mine"})
    for path, count in (("shots", 2), ("a", 1)):
        assert "local changes would be overwritten" in await run("restore", path, fails=True)
        assert f"{format_count(count, 'file')} as in" in await run("restore", path, "--force")
    assert read(shots) == before


async def test_a_merge_takes_the_locks_that_it_needs(run: Run, film_folder: Path, api: Api) -> None:
    write(film_folder, {"a": b"side", "shots/b": None, "shots/moved": b"2"})
    await run("push", "-m", "on the side", "--branch", "side")
    await run("push", "--branch", "other")
    await run("clone", "ada/film", str(film_folder.parent / "main"))
    write(film_folder.parent / "main", {"new": b"1"})
    with contextlib.chdir(film_folder.parent / "main"):
        await run("push", "-m", "on main")
        await run("lock", "shots/b")
        assert "must be locked first" in await run("merge", "side", "--dry-run", fails=True)
        assert (await run("merge", "side")).startswith("Merged side into main")
        assert "moved" in await run("ls", "shots")
        # What was held before stays.
        assert "shots/b" in await run("locks")
    assert await api.value("SELECT count(*) FROM locks WHERE expires_at > now()") == 1


async def test_a_restore_removes_what_a_killed_command_did_not_finish(
    run: Run, shots: Path
) -> None:
    before = read(shots)
    write(shots, {"a": None, ".dits-0123456789abcdef.part": b"half", "mine.part": b"whole"})
    await run("restore", "a")
    assert read(shots).keys() == {*before, "mine.part"}
