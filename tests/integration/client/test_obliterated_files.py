"""Files whose contents were removed from every version: folders leave them out, and go on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from dits_client.content.sources import Piece
from dits_client.transfer.upload import Uploader
from dits_client.workspace.workspace import Workspace
from tests.support.client import NOISE, Run, read, write

WHY = "the licence ended"
LARGE = NOISE[:2_500_000]


@pytest.fixture
async def pushed(run: Run, logged_in: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pushed folder with a small and a large file that are to go."""
    await run("repo", "create", "film", "--no-require-lock")
    write(home / "film", {"a": b"1", "shots/b": b"2", "only/here/large": LARGE, ".ditsignore": b""})
    monkeypatch.chdir(home / "film")
    await run("init", "--repository", f"{logged_in}/film")
    await run("push")
    return home / "film"


async def remove(run: Run, path: str, revision: str = "main") -> str:
    given = ("--reason", WHY, "--yes", "--revision", revision)
    return await run("obliterate", "remove", path, *given)


async def clone(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Clones into a folder, which becomes the current one; returns what was warned."""
    told = await run("clone", "ada/film", str(folder))
    monkeypatch.chdir(folder)
    return told


async def test_a_clone_goes_on_without_them_and_pushes_keep_them(
    run: Run,
    pushed: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = await remove(run, "only/here/large")
    assert f"only/here/large is removed from every version: {WHY}" in told
    await remove(run, "shots/b")
    two = pushed.parent / "two"
    assert "2 files written" in await clone(run, two, monkeypatch)
    assert set(read(two)) == {"a", ".ditsignore"}
    assert set(Workspace.locate(two).state.gone) == {"only/here/large", "shots/b"}
    assert "Nothing has changed." in await run("status")
    assert "Nothing to push" in await run("push")

    write(two, {"shots/c": b"new"})
    await run("push", "-m", "beside it")
    told = await run("ls", "shots")
    assert f"b  (removed from every version: {WHY})" in told
    assert told.endswith("c\n")
    (two / ".dits" / "index").unlink()
    assert "Nothing has changed." in await run("status")
    # It can still be taken out.
    await run("untrack", "shots/b")
    write(two, {"a": b"other"})
    await run("push", "-m", "without it")
    assert "b" not in [line.split()[-1] for line in (await run("ls", "shots")).splitlines()]
    monkeypatch.chdir(pushed)
    await run("pull")
    assert set(read(pushed)) == {"a", "shots/c", "only/here/large", ".ditsignore"}


async def test_a_pull_says_which_file_it_leaves_out(
    run: Run, pushed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = pushed.parent / "two"
    await clone(run, two, monkeypatch)
    monkeypatch.chdir(pushed)
    write(pushed, {"shots/b": b"newer", "shots/d": b"4"})
    await run("push", "-m", "newer")
    await remove(run, "shots/b")
    await remove(run, "only/here/large")
    monkeypatch.chdir(two)
    told = await run("pull")
    assert "1 file written, 1 removed" in told
    # What the folder has stays.
    assert set(read(two)) == {"a", "shots/d", "only/here/large", ".ditsignore"}
    assert "Nothing has changed." in await run("status")


async def test_undo_and_unshelve_leave_it_out(run: Run, pushed: Path) -> None:
    first = Workspace.locate(pushed).state.head
    write(pushed, {"a": None, "shots/b": None})
    await run("push", "-m", "a mistake")
    write(pushed, {"shots/new": b"3", "other": b"4"})
    await run("shelve", "mine")
    await remove(run, "a", first)
    assert "1 changed back" in await run("undo")
    assert set(read(pushed)) == {"shots/b", "only/here/large", ".ditsignore"}
    assert "Nothing has changed." in await run("status")
    await remove(run, "other", "shelves/ada/mine")
    assert ": 1 change." in await run("unshelve", "mine")
    assert read(pushed)["shots/new"] == (0o644, b"3")


async def test_pushes_that_bring_it_are_refused_in_plain_words(run: Run, pushed: Path) -> None:
    await remove(run, "shots/b")
    write(pushed, {"copy": b"2"})
    told = await run("push", fails=True)
    assert f"copy was removed from every version: {WHY}" in told
    write(pushed, {"copy": None, "shots/b": None})
    assert WHY in await run("get", "shots/b", fails=True)
    assert f'"shots/b" was removed from every version: {WHY}' in await run(
        "restore", "shots/b", fails=True
    )


@pytest.mark.parametrize("path", ["shots/b", "only/here/large"])
async def test_who_has_the_file_gives_it_back(
    run: Run, pushed: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    await remove(run, path)
    listed = json.loads(await run("obliterate", "list", "--json"))
    assert (listed["reason"], listed["obliterated_by"]) == (WHY, "ada")
    assert WHY in await run("obliterate", "list")
    two = pushed.parent / "two"
    await clone(run, two, monkeypatch)
    (link := two.parent / "link").symlink_to(pushed / path)
    assert "another content" in await run("obliterate", "lift", path, "a", fails=True)
    assert "is back" in await run("obliterate", "lift", path, str(link))
    assert "Nothing was removed" in await run("obliterate", "list")
    await run("pull", "--force")
    assert read(two)[path] == read(pushed)[path]
    assert Workspace.locate(two).state.gone == {}
    assert "Nothing has changed." in await run("status")


async def test_chunks_that_go_meanwhile_are_sent_again(
    run: Run, pushed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer, asked = Uploader.offer_pieces, list[Uploader]()

    def offer_late(uploader: Uploader, pieces: Iterable[Piece]) -> None:
        asked.append(uploader)  # The first time the server has all chunks, and is yet to take them.
        offer(uploader, pieces if len(asked) > 1 else ())

    await remove(run, "shots/b")
    monkeypatch.setattr(Uploader, "offer_pieces", offer_late)
    await run("obliterate", "lift", "shots/b", "shots/b")
    assert len(asked) == 2


async def test_what_is_given_back_does_not_replace_what_is_there(
    run: Run, pushed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("shots/b", "only/here/large"):
        await remove(run, path)
    two = pushed.parent / "two"
    await clone(run, two, monkeypatch)
    write(two, {"shots/b": b"precious", "only/here/large": LARGE})
    for path in ("shots/b", "only/here/large"):
        await run("obliterate", "lift", path, str(pushed / path))
    monkeypatch.chdir(pushed)
    write(pushed, {"a": b"newer"})
    await run("push")
    monkeypatch.chdir(two)
    told = await run("pull", fails=True)
    assert "would be overwritten" in told
    assert "shots/b" in told
    assert read(two)["shots/b"] == (0o644, b"precious")
    assert read(two)["a"] == (0o644, b"1")
    write(two, {"shots/b": None})
    await run("pull")
    assert read(two) == read(pushed)
    assert Workspace.locate(two).state.gone == {}
    assert "Nothing has changed." in await run("status")


async def test_undo_takes_back_what_brought_it(
    run: Run, pushed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(pushed, {"late": b"licensed", "shots/late": b"3"})
    await run("push", "-m", "more")
    await remove(run, "late")
    two = pushed.parent / "two"
    await clone(run, two, monkeypatch)
    assert "2 changed back" in await run("undo")
    assert Workspace.locate(two).state.gone == {}
    assert "Nothing has changed." in await run("status")
    assert "late" not in await run("ls")


async def test_no_push_deletes_them_with_their_folder(
    run: Run, pushed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if nothing else was in it, and a command or somebody has removed it."""
    for path in ("shots/b", "only/here/large"):
        await remove(run, path)
    two = pushed.parent / "two"
    await clone(run, two, monkeypatch)
    write(two, {"shots/c": b"new"})
    await run("push", "-m", "beside it")
    await run("undo")
    assert "b  (removed from every version" in await run("ls", "shots")
    assert "large" in await run("ls", "only/here")
    assert not (two / "shots").exists()
    (two / ".dits" / "index").unlink()
    assert "Nothing has changed." in await run("status")
    # A file in the place of their folder is named and left out, and prevents no pull.
    write(two, {"shots": b"mine", "a": b"edit"})
    assert '"shots" is a folder in the commit' in await run("push", fails=3)
    monkeypatch.chdir(pushed)
    await run("pull")
    write(pushed, {"late": b"5"})
    await run("push")
    monkeypatch.chdir(two)
    assert "1 file written" in await run("pull")
    assert read(two)["shots"] == (0o644, b"mine")
    await run("untrack", "shots/b")
    await run("push", "-m", "mine")
    assert (await run("ls")).split()[-1] == "shots"
    assert "large" in await run("ls", "only/here")


async def test_what_was_there_for_a_while_is_not_pushed(
    run: Run, pushed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose time the index cannot trust, in the place of one that nobody can get, then removed."""
    await remove(run, "shots/b")
    two = pushed.parent / "two"
    await clone(run, two, monkeypatch)
    write(two, {"shots/b": b"mine"})
    future = 2_000_000_000_000_000_000
    os.utime(two / "shots/b", ns=(future, future))
    assert "changed  shots/b" in await run("status")
    (two / "shots/b").unlink()
    assert "Nothing has changed." in await run("status")
    assert "Nothing to push" in await run("push")


async def test_it_needs_a_reason_and_a_confirmation(run: Run, pushed: Path) -> None:
    assert "--reason" in await run("obliterate", "remove", "a", "--yes", fails=2)
    assert "--yes" in await run("obliterate", "remove", "a", "--reason", WHY, fails=2)
    assert "not found" in await run(
        "obliterate", "remove", "none", "--reason", WHY, "--yes", fails=True
    )
    assert "Nothing was removed" in await run("obliterate", "list")
