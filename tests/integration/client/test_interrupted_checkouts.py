"""Clones and pulls that were killed, and what brings files back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dits_client.checkout.include import exclude_paths, include_paths
from dits_client.checkout.new_files import NewFiles
from dits_client.checkout.restore import restore_paths
from dits_client.errors import ClientError, ConflictError
from dits_client.progress import Warnings
from dits_client.shelves import shelve_folder
from tests.support.api import Api
from tests.support.client import Person, Proxy, read, read_files, write


def kill_command(environ: dict[str, str], home: Path, arguments: list[str], count: int) -> None:
    """Run a `dits` command as a process of its own, and kill it when there are `count` files `two/f*`."""
    command = [sys.executable, "-m", "dits_client", *arguments]
    with subprocess.Popen(command, cwd=home, env=os.environ | environ) as started:
        last = time.monotonic() + 60
        while len(list(home.glob("two/f*"))) < count and time.monotonic() < last:
            time.sleep(0.02)
        started.kill()
    assert time.monotonic() < last
    assert started.returncode == -signal.SIGKILL


async def test_a_killed_clone_goes_on_although_the_branch_has_moved(
    api: Api, ada: Person, film: str
) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {f"f{n:03}": os.urandom(400_000) for n in range(120)})
    await ada.push("one", film)
    with Proxy(api.addresses["chunk"], stall=True) as proxy:
        # Most arrives, and then nothing more. What that completes depends on the order of the chunks.
        proxy.budgets = [44_000_000]
        environ = ada.environ | {"DITS_CHUNK": proxy.address}
        command = ["clone", film, "two"]
        await asyncio.to_thread(kill_command, environ, ada.home, command, 21)
    there = read(two)
    assert 20 < len(there) < 120
    assert await ada.changes("two") == []
    write(one, {"f000": os.urandom(400_000), "f001": None, "f002": b"theirs", "late": b"new"})
    await ada.push("one")
    write(two, {"f002": b"an edit of the user's", "mine": b"a file of the user's"})
    assert await ada.changes("two") == ["f002", "mine"]
    with pytest.raises(ClientError, match="was interrupted in this folder: run `dits pull`"):
        await asyncio.to_thread(shelve_folder, two, ada.client, "ada/x")
    # Pushed to another branch, the half of a clone would look like deletions.
    with pytest.raises(ClientError, match="was interrupted in this folder: run `dits pull`"):
        await ada.push("two", branch="side")
    for again in (ada.pull("two"), ada.clone(film, "two")):
        with pytest.raises(ConflictError) as caught:
            await again
        assert caught.value.paths == ["f002"]
    (two / "f002").unlink()
    await ada.clone(film, "two")
    (two / "mine").unlink()
    assert read(two) == read(one)
    assert await ada.changes("two") == []


async def test_what_a_broken_pull_wrote_is_not_taken_for_changes(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = ada.home / "one", ada.home / "two"
    names = [f"f{n}" for n in range(10)]
    write(one, dict.fromkeys(names, b"first"))
    await ada.push("one", film)
    await ada.clone(film, "two")
    # Two commits on the way, each brought by half; the third takes both back.
    for content in (b"second", b"third"):
        write(one, dict.fromkeys(names, content) | {f"only in {content.decode()}": b"x"})
        await ada.push("one")
        real, left = NewFiles._rename_into_place, iter(range(5))

        def place(
            self: NewFiles,
            name: str,
            path: str,
            left: object = left,
            real: object = real,
        ) -> None:
            if next(left, None) is None:  # type: ignore[call-overload]
                raise OSError(28, "No space left on device")
            real(self, name, path)  # type: ignore[operator]

        with monkeypatch.context() as full:
            full.setattr(NewFiles, "_rename_into_place", place)
            with pytest.raises(ClientError, match="no space left"):
                await ada.pull("two")
        assert await ada.changes("two") == []
        write(one, {f"only in {content.decode()}": None})
    write(one, dict.fromkeys(names, b"first") | {"last": b"x"})
    await ada.push("one")
    assert read(two) != read(one)
    # The manifests of the commits between are here; if they are not, the server is asked.
    (two / ".dits" / "index").unlink()
    await ada.pull("two")
    assert read(two) == read(one)
    assert await ada.changes("two") == []


async def test_going_back_from_a_commit_that_is_gone_pushes_nothing_of_it(
    ada: Person, film: str
) -> None:
    """A switch was killed, its branch was moved by force, and the index is lost."""
    one = ada.home / "one"
    write(one, {"a": b"1", "b": b"2", "c": b"3"})
    await ada.push("one", film)
    (one / ".dits" / "checkout").write_text(f"{'0' * 64} {'0' * 64} side\n")
    write(one, {"a": None, "b": b"of side"})
    (one / ".dits" / "index").unlink()
    with pytest.raises(ConflictError) as caught:
        await ada.switch("one", "main")
    assert caught.value.paths == ["b"]
    (one / "b").rename(ada.home / "b")
    await ada.switch("one", "main")
    assert read_files(one) == {"a": b"1", "b": b"2", "c": b"3"}
    assert not (await ada.push("one")).pushed


async def test_a_forced_pull_brings_back_what_is_missing_or_changed(ada: Person, film: str) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"a": b"1", "shots/b": b"2", "shots/c": b"3", "link": "a"})
    (one / "a").chmod(0o750)
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(two, {"a": None, "shots/b": b"changed", "link": "elsewhere", "of mine": b"new"})
    # Deletions and changes of the user's stay until the user says otherwise.
    assert (await ada.pull("two")).files == 0
    assert not (two / "a").exists()
    report = await ada.pull("two", force=True)
    assert (report.files, report.removed) == (3, 0)
    assert (two / "of mine").read_bytes() == b"new"
    (two / "of mine").unlink()
    assert read(two) == read(one)
    assert await ada.changes("two") == []
    # A folder in place of a file, and a file in place of a folder.
    write(two, {"a": None, "a/x": b"1", "shots/b": None, "shots/c": None})
    (two / "shots").rmdir()
    (two / "shots").write_bytes(b"in the way")
    await ada.pull("two", force=True)
    assert read(two) == read(one)


async def test_a_clone_onto_a_small_disk_goes_on_without_what_is_not_needed(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": b"1", "renders/large": b"2", "renders/r": b"3", "z": b"4"})
    await ada.push("one", film)
    small, real = ada.home / "small", NewFiles._rename_into_place

    def place(self: NewFiles, name: str, path: str) -> None:
        if path == "renders/large":
            raise OSError(28, "No space left on device")
        real(self, name, path)

    with monkeypatch.context() as full:
        full.setattr(NewFiles, "_rename_into_place", place)
        for _ in range(2):
            with pytest.raises(ClientError, match=r"no space left.*`dits exclude PATH` leaves out"):
                await ada.clone(film, "small")
        # What is there already of it goes, and a path that is none is named.
        write(small, {"renders/r": b"3"})
        with pytest.raises(ClientError, match='"none" is not in the commit'):
            await asyncio.to_thread(include_paths, small, ada.client, ["none"])
        await asyncio.to_thread(exclude_paths, small, ada.client, ["renders"])
    assert set(read(small)) == {"a", "z"}
    assert ((await ada.status("small")).interrupted, await ada.changes("small")) == ("", [])
    write(small, {"a": b"5"})
    assert (await ada.push("small")).changed == 1


@pytest.mark.parametrize("command", ["clone", "pull", "switch"])
async def test_where_the_disk_is_full_exclude_makes_room_and_completes_what_was_begun(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    one, small, real = ada.home / "one", ada.home / "small", NewFiles._rename_into_place
    branch = "side" if command == "switch" else "main"
    write(one, {"a": b"1", "renders/r": b"2"})
    await ada.push("one", film)
    if command != "clone":
        await ada.clone(film, "small")

    def place(self: NewFiles, name: str, path: str) -> None:
        if path == "z" and (small / "renders").exists():
            raise OSError(28, "No space left on device")
        real(self, name, path)

    with monkeypatch.context() as full:
        full.setattr(NewFiles, "_rename_into_place", place)
        for number in (b"1", b"2"):
            # The branch moves in the meantime.
            write(one, {"renders/large": number, "renders/r": b"3" + number, "z": number})
            await ada.push("one", branch=branch)
            with pytest.raises(ClientError, match=r"no space left.*`dits exclude PATH` leaves out"):
                await {
                    "clone": lambda: ada.clone(film, "small"),
                    "pull": lambda: ada.pull("small"),
                    "switch": lambda: ada.switch("small", "side"),
                }[command]()
        await asyncio.to_thread(exclude_paths, small, ada.client, ["renders"])
    assert read(small) == {"a": (0o644, b"1"), "z": (0o644, b"2")}
    report = await ada.status("small")
    assert (report.interrupted, report.branch, await ada.changes("small")) == ("", branch, [])
    write(small, {"a": b"5"})
    assert (await ada.push("small")).changed == 1


async def test_what_was_edited_in_half_a_clone_stays_as_a_change(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {f"f{n}": b"first" for n in range(10)})
    await ada.push("one", film)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(NewFiles, "_rename_into_place", fail)
        with pytest.raises(ClientError, match="no space left"):
            await ada.clone(film, "two")
    names = ["f0", "f1"]
    await asyncio.to_thread(restore_paths, two, ada.client, names, revision="main", force=True)
    write(two, {"f0": b"an edit of the user's", "f1": b"another"})
    write(one, {"f1": b"theirs"})
    await ada.push("one")
    # What the branch has changed meanwhile is in the way, as in every pull.
    with pytest.raises(ConflictError) as caught:
        await ada.pull("two")
    assert caught.value.paths == ["f1"]
    write(two, {"f1": None})
    await ada.pull("two", progress=Warnings())
    assert await ada.changes("two") == ["f0"]
    assert read(two) == read(one) | {"f0": (0o644, b"an edit of the user's")}
    assert '"f0" differs from the commit' in capsys.readouterr().err
    assert (await ada.push("two")).changed == 1
