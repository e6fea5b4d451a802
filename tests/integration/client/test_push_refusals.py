"""What a push refuses, and what it remembers then."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dits_client.errors import ClientError
from dits_client.push.report import Author
from dits_client.workspace import read_files, snapshot
from dits_client.workspace.status import compare_folder
from shared.formats.commits import MAX_MESSAGE_BYTES
from tests.support.client import NOISE, Person, Run, read, write
from tests.support.snapshots import reading_later, write_old_files


def before_reading(monkeypatch: pytest.MonkeyPatch, name: str, work: Callable[[], object]) -> None:
    """Do something when the client is about to read a file for the first time."""
    real, done = read_files.FileReader.read_file, threading.Event()

    def read_file(reader: read_files.FileReader, item: read_files.UnreadFile) -> object:
        if item.path == name and not done.is_set():
            done.set()
            work()
        return real(reader, item)

    monkeypatch.setattr(read_files.FileReader, "read_file", read_file)


@pytest.fixture
async def scene(ada: Person, film: str) -> Path:
    """A pushed folder whose files have all changed since."""
    folder = ada.home / "one"
    write(folder, {f"f{n}": b"1" for n in range(9)} | {"z.blend": b"1"})
    await ada.push("one", film)
    write_old_files(folder, {f"f{n}": b"two" for n in range(9)} | {"z.blend": b"two"})
    return folder


async def test_a_file_that_vanishes_during_the_push_is_never_a_deletion(
    ada: Person, film: str, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = ada.home / "z.blend"
    monkeypatch.setattr(snapshot, "LOOKS", (0.01, 0.02))
    with monkeypatch.context() as racing, reading_later():
        before_reading(racing, "z.blend", lambda: (scene / "z.blend").rename(away))
        with pytest.raises(
            ClientError, match=r'"z\.blend" vanished while the folder was being read'
        ):
            await ada.push("one")
    away.rename(scene / "z.blend")
    # What was read before the push failed is not read again.
    report = await ada.push("one")
    assert (report.changed, report.bytes) == (10, 3)
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(scene)


async def test_a_file_that_is_saved_during_the_push_is_looked_at_again(
    ada: Person, film: str, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, away = scene / "z.blend", ada.home / "z.blend"

    def save() -> None:
        path.rename(away)
        threading.Timer(0.2, path.write_bytes, [b"saved"]).start()

    before_reading(monkeypatch, "z.blend", save)
    assert (await ada.push("one")).changed == 10
    await ada.clone(film, "two")
    assert (ada.home / "two" / "z.blend").read_bytes() == b"saved"


async def test_a_file_that_was_away_during_the_scan_is_never_a_deletion(
    ada: Person, film: str, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = ada.home / "z.blend"
    (scene / "z.blend").rename(away)
    with monkeypatch.context() as racing:
        before_reading(racing, "f0", lambda: away.rename(scene / "z.blend"))
        with pytest.raises(ClientError, match=r'"z\.blend" was away while the folder was read'):
            await ada.push("one")
    assert (await ada.push("one")).changed == 10
    (scene / "z.blend").unlink()
    assert (await ada.push("one")).changed == 1


async def test_a_temporary_file_may_vanish(
    ada: Person, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(scene, {"z.blend@": b"being written"})
    before_reading(monkeypatch, "z.blend@", (scene / "z.blend@").unlink)
    assert (await ada.push("one")).changed == 10


async def test_what_was_read_is_remembered_when_the_user_interrupts(
    ada: Person, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    write_old_files(scene, {"large": NOISE})
    with monkeypatch.context() as racing, reading_later():
        before_reading(racing, "z.blend", interrupt)
        racing.setattr(os, "cpu_count", lambda: 1)
        with pytest.raises(KeyboardInterrupt):
            await ada.push("one")
    # Small files come first, in the order of their names.
    assert (await ada.push("one")).bytes == 3 + len(NOISE)


async def test_a_commit_that_cannot_be_made_is_refused_before_anything_is_read(
    ada: Person, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_reading(monkeypatch, "f0", lambda: pytest.fail("a file was read"))
    for message in ("x" * (MAX_MESSAGE_BYTES + 1), "\0", "caf\udce9"):
        with pytest.raises(ClientError, match="the commit cannot be made"):
            await ada.push("one", message=message)
    for author in (Author("x" * 256, ""), Author("a\0", ""), Author("", "x" * 255)):
        with pytest.raises(ClientError, match="the commit cannot be made: author"):
            await ada.push("one", author=author)


async def test_names_that_cannot_be_stored_are_all_in_one_message(
    ada: Person, film: str, scene: Path
) -> None:
    await ada.clone(film, "two")
    await ada.push("one")
    two = ada.home / "two"
    deep = "/".join(["x" * 200] * 5)
    write(two, {f"{deep}/{'y' * 30}": b"", "back\\slash": b"", "good": b"1"})
    (two / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    (two / "link").symlink_to(os.fsdecode(b"caf\xe9"))
    # The rest can be worked with.
    await ada.pull("two")
    assert (two / "z.blend").read_bytes() == b"two"
    report = await asyncio.to_thread(compare_folder, two, lambda: ada.client)
    assert (report.new, report.changed, report.deleted) == (["good"], [], [])
    assert len(report.unusable) == 4
    assert (await ada.push("two")).left_out == sorted(report.unusable)


async def test_arguments_that_are_not_utf8_are_one_sentence(run: Run, film_folder: Path) -> None:
    text = os.fsdecode(b"caf\xe9")
    for command in (["push", "-m", text], ["push", "--branch", text], ["lock", "a", text]):
        assert "is not UTF-8" in await run(*command, fails=2)


async def test_a_folder_from_elsewhere_does_not_get_the_token(
    run: Run, film_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DITS_TOKEN", "secret")
    state = film_folder / ".dits" / "state.json"
    with socket.create_server(("127.0.0.1", 0)) as trap:
        address = f"127.0.0.1:{trap.getsockname()[1]}"
        monkeypatch.delenv("DITS_AUTH")
        state.write_text(
            json.dumps(json.loads(state.read_text()) | {"server": f"http://{address}"})
        )
        for command in (["pull"], ["push"], ["log"], ["locks"], ["lock", "a"]):
            told = await run(*command, fails=True)
            assert f"DITS_TOKEN is not sent to http://{address}" in told
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()
