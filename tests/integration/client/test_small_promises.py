"""What users of other tools reported: signals, moved locks, holes, first digits, empty folders."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dits_client.errors import ClientError
from dits_client.progress import Warnings
from tests.support.api import Api
from tests.support.client import NOISE, Person, Proxy, Run, read, write
from tests.support.client_locks import live_locks, take_locks


@pytest.mark.usefixtures("locked_film")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_gives_back_the_locks_of_a_push(
    api: Api, ada: Person, number: signal.Signals
) -> None:
    write(ada.home / "one", {"a": NOISE[:2_000_000]})
    with Proxy(api.addresses["chunk"], stall=True) as proxy:
        proxy.budgets = [500_000]
        environ = os.environ | ada.environ | {"DITS_CHUNK": proxy.address}
        push = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dits_client", "push",
            cwd=ada.home / "one", env=environ, stderr=subprocess.PIPE,
        )  # fmt: skip
        while not proxy.breaks:
            assert push.returncode is None
            await asyncio.sleep(0.02)
        assert await live_locks(ada) == {"a": "ada"}
        push.send_signal(number)
        _, told = await push.communicate()
    assert (push.returncode, told) == (128 + number, b"dits: interrupted\n")
    assert await live_locks(ada) == {}


@pytest.mark.usefixtures("locked_film")
async def test_a_lock_goes_with_the_file_that_is_renamed(
    ada: Person, bob: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ada.home / "one"
    await take_locks(ada, "a", "shots/c", "b", reason="animating", ttl_seconds=7000)
    await take_locks(bob, "taken")
    for path, other in (("a", "d/moved"), ("shots/c", "taken"), ("b", "edited")):
        (one / other).parent.mkdir(exist_ok=True)
        (one / path).rename(one / other)
    write(one, {"edited": b"edited, too"})
    capsys.readouterr()
    # Nobody may push to a path under a lock of bob's.
    with pytest.raises(ClientError, match="locked by bob"):
        await ada.push("one", progress=Warnings())
    (one / "taken").rename(one / "shots/free")
    await ada.push("one", progress=Warnings())
    told = capsys.readouterr().err
    assert 'your lock on "a" is on "d/moved" now' in told
    assert 'your lock on "shots/c" is on "shots/free" now' in told
    assert '"b" is gone, and your lock on it stays: `dits unlock` gives it back' in told
    assert await live_locks(ada) == {
        "b": "ada", "d/moved": "ada", "shots/free": "ada", "taken": "bob",
    }  # fmt: skip
    # A lock that a push takes for itself stays nowhere.
    await bob.pull("two")
    (bob.home / "two/shots/d/e").rename(bob.home / "two/e")
    await bob.push("two")
    assert len(await live_locks(bob)) == 4


async def test_holes_stay_holes_and_equal_chunks_come_once(ada: Person, film: str) -> None:
    one = ada.home / "one"
    one.mkdir()
    with (one / "sparse").open("wb") as file:
        file.truncate(200_000_000)
        file.seek(100_000_000)
        file.write(NOISE[:1000])
    pushed = await ada.push("one", film)
    report = await ada.clone(film, "two")
    copy = (ada.home / "two/sparse").stat()
    assert copy.st_size == 200_000_000
    assert copy.st_blocks * 512 < 2_000_000
    assert report.chunks > report.chunks_received
    assert report.chunks_received <= pushed.chunks_sent
    assert await ada.changes("two") == []


async def test_the_first_digits_of_a_commit_name_it(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    first = (await ada.push("one", film)).commit
    write(ada.home / "one", {"a": b"2"})
    await ada.push("one")
    for number, revision in enumerate((first[:12], first)):
        assert (await ada.clone(film, f"copy{number}", revision=revision)).commit == first
    for revision in ("f" * 12, "f" * 64):
        with pytest.raises(ClientError, match=revision):
            await ada.clone(film, "none", revision=revision)


async def test_folders_without_files_are_told_of_once(
    ada: Person, film: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(ada.home / "one", {"a": b"1", ".ditsignore": b"tmp\n"})
    for place in ("empty", "deep/er", "tmp"):
        (ada.home / "one" / place).mkdir(parents=True)
    os.mkfifo(ada.home / "one" / "pipe\x1b[31m")
    await ada.push("one", film, progress=Warnings())
    told = capsys.readouterr().err
    assert 'folders without files are not pushed: "deep/er", "empty"' in told
    # And what a terminal could obey is shown as text.
    assert '"pipe\\x1b[31m" is neither' in told
    assert "\x1b[31m" not in told
    write(ada.home / "one", {"a": b"2"})
    await ada.push("one", progress=Warnings())
    assert "folders without files" not in capsys.readouterr().err


async def test_what_is_on_the_disk_already_is_copied(ada: Person, film: str) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"a": NOISE, "copy": NOISE, "other": NOISE[:2_000_000]})
    await ada.push("one", film)
    report = await ada.clone(film, "two")
    assert (report.files, report.bytes) == (3, 10_000_000)
    assert report.bytes_received < 7_000_000
    # A copy of a file that has not changed; one of a file that the pull overwrites; a move.
    write(
        one, {"d/a": NOISE, "other": b"x", "d/other": NOISE[:2_000_000], "copy": None, "d/b": NOISE}
    )
    await ada.push("one")
    report = await ada.pull("two")
    assert report.bytes_received < 2_100_000
    assert read(two) == read(one)
    (two / "d/a").write_bytes(b"edited")
    assert read(two)["a"] == (0o644, NOISE)
    # What is not any more what the last scan found is fetched.
    write(one, {"e": NOISE})
    await ada.push("one")
    (two / "a").write_bytes(b"edited")
    (two / "d/b").unlink()
    await ada.pull("two")
    assert read(two)["e"] == (0o644, NOISE)


async def test_diff_tells_what_the_next_push_would_bring(run: Run, film_folder: Path) -> None:
    assert await run("diff") == "Nothing differs.\n"
    write(film_folder, {"a": b"22", "new": NOISE[:300_000], "twice": NOISE[:300_000], "l": "a"})
    (film_folder / "shots/b").rename(film_folder / "moved")
    lines = (await run("diff", "--new-bytes")).splitlines()
    assert lines == [
        "M  a  (1 B -> 2 B, 2 B new)",
        "A  l  (1 B)",
        "R  shots/b -> moved  (1 B)",
        "A  new  (300.0 kB, 300.0 kB new)",
        "A  twice  (300.0 kB)",
        "3 added, 1 modified, 1 renamed; 2 B before, 600.0 kB after, 300.0 kB really new.",
    ]
    assert (await run("diff", "--path", "shots")).startswith("D  shots/b")
    found = [json.loads(line) for line in (await run("diff", "--json")).splitlines()]
    assert [each["path"] for each in found[:-1]] == ["a", "l", "moved", "new", "twice"]
    assert found[-1]["added_count"] == "3"
    await run("push")
    assert await run("diff", "--new-bytes") == "Nothing differs.\n"
    (film_folder / "new").chmod(0o755)
    assert (await run("diff", "--new-bytes")).splitlines()[1].startswith("1 with another mode; 0 B")
    assert "goes with a revision" in await run("diff", "--repository", "ada/film", fails=2)
