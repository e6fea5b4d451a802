"""A user's file changes after a checkout has looked at the folder, and before it writes there."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dits_client.checkout.get_file import find_file, get_file
from dits_client.checkout.restore import restore_paths
from dits_client.errors import ClientError, ConflictError
from dits_client.progress import Progress, Stage
from dits_client.server.repository import RepositoryClient
from tests.support.client import NOISE, Person, Run, read, write


@dataclass
class Meanwhile(Progress):
    """Does something when the folder has been looked at, and nothing was written; or `late`, then."""

    act: Callable[[], None]
    late: bool = False
    when: str = "Writing"

    def start_stage(self, label: str, total: int = 0) -> Stage:
        """Starts a part of the work."""
        if label == self.when and not self.late:
            self.act()
        return _Late(self.act) if self.late else super().start_stage(label, total)


@dataclass
class _Late(Stage):
    act: Callable[[], None]

    def advance(self, count: int) -> None:
        """Does it while the first bytes are written."""
        assert count
        self.act()


def read_all(folder: Path) -> list[str]:
    """Names of what is in a folder."""
    return [path.name for path in folder.iterdir()]


def stamp_late(path: Path) -> None:
    """Gives a file a time to come, as a camera or another machine with a wrong clock does."""
    late = time.time() + 86_400
    os.utime(path, (late, late))


@pytest.mark.parametrize("coming", [b"a colleague's", None])
@pytest.mark.parametrize("is_late", [False, True])
async def test_an_edit_during_a_pull_is_kept(
    ada: Person, film: str, coming: bytes | None, *, is_late: bool
) -> None:
    write(ada.home / "one", {"a": b"1", "b": b"2"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(ada.home / "one", {"a": coming})
    await ada.push("one")
    two = ada.home / "two"
    if is_late:
        stamp_late(two / "a")
    edit = Meanwhile(lambda: write(two, {"a": b"precious"}))
    with pytest.raises(ConflictError):
        await ada.pull("two", progress=edit)
    assert read(two)["a"] == (0o644, b"precious")
    # It is a change as any other from now on.
    with pytest.raises(ConflictError):
        await ada.pull("two")
    assert read(two)["a"] == (0o644, b"precious")
    write(two, {"a": None})
    await ada.pull("two")
    assert read(two) == read(ada.home / "one")


async def test_an_edit_during_a_restore_is_kept(ada: Person, film: str) -> None:
    one = ada.home / "one"
    write(one, {"a": b"1"})
    first = (await ada.push("one", film)).commit
    write(one, {"a": b"2"})
    await ada.push("one")
    stamp_late(one / "a")
    edit = Meanwhile(lambda: write(one, {"a": b"precious"}))
    with pytest.raises(ConflictError):
        await asyncio.to_thread(
            restore_paths, one, ada.client, ["a"], revision=first, progress=edit
        )
    assert read(one)["a"] == (0o644, b"precious")


async def test_a_file_made_during_a_pull_where_one_was_obliterated_is_kept(
    ada: Person, film: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DITS_TOKEN", ada.account.token)
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"a": b"licensed", "b": b"2"})
    await ada.push("one", film)
    monkeypatch.chdir(one)
    await run("obliterate", "remove", "a", "--reason", "it ended", "--yes")
    await ada.clone(film, "two")
    write(one, {"a": b"newer"})
    await ada.push("one")
    make = Meanwhile(lambda: write(two, {"a": b"precious"}))
    with pytest.raises(ConflictError):
        await ada.pull("two", progress=make)
    assert read(two)["a"] == (0o644, b"precious")


async def test_get_replaces_no_file_that_was_made_meanwhile(
    ada: Person, film: str, tmp_path: Path
) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    remote, out = RepositoryClient(ada.client, film), tmp_path / "out"
    _, file = await asyncio.to_thread(find_file, remote, "a", "main")
    make = Meanwhile(lambda: write(tmp_path, {"out": b"precious"}), late=True)
    with pytest.raises(ClientError, match="it stays"):
        await asyncio.to_thread(get_file, remote, file, out, make)
    assert [name for name in read_all(tmp_path) if "out" in name] == ["out"]
    assert out.read_bytes() == b"precious"


async def test_a_push_whose_folder_cannot_note_it_says_that_it_is_done(
    ada: Person, film: str
) -> None:
    one = ada.home / "one"
    write(one, {"a": b"1"})
    await ada.push("one", film)
    state, away = one / ".dits/state.json", one / ".dits/away"

    def block() -> None:
        """Lets nothing be written to the state, as on a disk without room."""
        state.rename(away)
        state.mkdir()

    write(one, {"a": b"2"})
    with pytest.raises(ClientError, match=r"the server has the commit .*run `dits pull`"):
        await ada.push("one", progress=Meanwhile(block, when="Reading"))
    state.rmdir()
    away.rename(state)
    await ada.pull("one")
    assert read(one)["a"] == (0o644, b"2")
    assert not (await ada.push("one")).pushed


async def test_a_new_file_that_vanishes_before_it_is_sent_is_left_out(
    ada: Person, film: str
) -> None:
    one = ada.home / "one"
    write(one, {"a": b"1", "new": NOISE[:100_000]})
    vanish = Meanwhile(lambda: (one / "new").unlink(missing_ok=True), late=True)
    await ada.push("one", film, progress=vanish)
    await ada.clone(film, "two")
    assert read(ada.home / "two").keys() == {"a"}
    write(one, {"a": NOISE[:100_000]})
    vanish = Meanwhile(lambda: (one / "a").unlink(missing_ok=True), late=True)
    with pytest.raises(ClientError, match='"a" vanished while it was being sent: try again'):
        await ada.push("one", progress=vanish)


@pytest.mark.parametrize("when", ["Reading", "sending"])
async def test_a_link_in_place_of_a_folder_leads_no_read_out_of_it(
    ada: Person, film: str, when: str
) -> None:
    one, outside = ada.home / "one", ada.home / "outside"
    write(one, {"a": b"1", "d/x": NOISE[:100_000]})
    write(outside, {"x": NOISE[100_000:200_000]})

    lock = threading.Lock()

    def replace() -> None:
        with lock:
            if not (one / "d").is_symlink():
                shutil.rmtree(one / "d")
                (one / "d").symlink_to(outside)

    await ada.push("one", film, progress=Meanwhile(replace, late=when == "sending", when="Reading"))
    await ada.clone(film, "two")
    assert {path for path in read(ada.home / "two") if path.startswith("d")} <= {"d"}
