"""The client in a real Python of Windows, on Windows or in Wine: `CONTRIBUTING.md` says how."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from dits_client.terminal import escape_text
from tests.support.client import Person, read_files, write

PYTHON = os.environ.get("DITS_WINDOWS_PYTHON", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="DITS_WINDOWS_PYTHON names no Python of Windows")

# Holds a file open, as programs do or as the client, or a lock, and says so, until its input ends.
HOLD = {
    "file to read": (
        "import sys; from dits_client.disk.disks import get_disk;"
        "f = get_disk().open_anywhere(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    ),
    "file": "import sys; f = open(sys.argv[1], 'rb'); print('held', flush=True); sys.stdin.read()",
    "lock": (
        "import sys; from pathlib import Path; from dits_client.disk.file_lock import FileLock;"
        "f = FileLock(Path(sys.argv[1])); f.acquire(); print('held', flush=True); sys.stdin.read()"
    ),
}


def start(folder: Path, environ: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*shlex.split(PYTHON), *arguments],
        cwd=folder,
        env=os.environ | environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


async def dits(who: Person, folder: Path, *arguments: str, fails: int = 0) -> str:
    def run() -> str:
        with start(folder, who.environ, "-m", "dits_client", *arguments) as process:
            answer = process.communicate()[0].decode()
        assert process.returncode == fails, answer
        return answer

    return await asyncio.to_thread(run)


def hold(who: Person, folder: Path, kind: str, path: str) -> subprocess.Popen[bytes]:
    process = start(folder, who.environ, "-c", HOLD[kind], path)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"held"
    return process


async def test_a_day_of_work(ada: Person, film: str) -> None:
    one, two = ada.home / "one", ada.home / "two"
    deep = "/".join(["d" * 60] * 6) + "/file"
    first = {"a/b": b"1\r\n\x1a2", "\u00fc/\u65e5": b"3", deep: b"4", "gone": b"5"}
    write(one, first | {"large": os.urandom(3_000_000), "fixed": b"0"})
    (one / "fixed").chmod(0o444)
    await ada.push("one", film)
    await dits(ada, ada.home, "clone", film, "two")
    assert read_files(two) == read_files(one)
    await dits(ada, two, "get", "fixed", "-o", "..\\copy")
    assert [path.name for path in ada.home.iterdir() if "copy" in path.name] == ["copy"]
    assert "Nothing has changed." in await dits(ada, two, "status")
    write(two, {"a/b": b"22", "new/\u00e9": b"6", "gone": None})
    listed = (await dits(ada, two, "status")).splitlines()[1:]
    assert [line.split() for line in listed] == [
        ["new", escape_text("new/\u00e9")], ["changed", "a/b"], ["deleted", "gone"],
    ]  # fmt: skip
    await dits(ada, two, "push", "-m", "from there")
    await ada.pull("one")
    assert read_files(two) == read_files(one)
    # What is read-only is replaced.
    write(one, {"fixed": b"00"})
    await ada.push("one")
    await dits(ada, two, "pull")
    assert (two / "fixed").read_bytes() == b"00"
    assert "locked: a/b" in await dits(ada, two / "a", "lock", "b")
    await dits(ada, two, "unlock", "a\\b")
    await dits(ada, two, "switch", "-c", "side")
    write(two, {"side": b"7"})
    assert "1 change" in await dits(ada, two, "shelve", "s")
    await dits(ada, two, "unshelve", "s")
    await dits(ada, two, "push", "-q", "-m", "side")
    await dits(ada, two, "switch", "main")
    assert not (two / "side").exists()
    await dits(ada, two, "merge", "side")
    assert read_files(two)["side"] == b"7"


async def test_a_program_saves_a_file_that_the_client_reads(ada: Person, film: str) -> None:
    write(ada.home, {"a": b"1"})
    rename = "import os, sys; os.rename('a', 'old'); open('a', 'wb').close(); os.remove('old')"
    with await asyncio.to_thread(hold, ada, ada.home, "file to read", "a") as client:
        with start(ada.home, {}, "-c", rename) as program:
            answer = program.communicate()[0]
        assert (program.returncode, answer) == (0, b"")
        client.communicate()
    assert sorted(path.name for path in ada.home.iterdir() if path.is_file()) == ["a"]


async def test_files_in_use_and_commands_that_are_killed(ada: Person, film: str) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {f"f{number:03}": os.urandom(50_000) for number in range(100)} | {"a": b"1"})
    await ada.push("one", film)
    with start(ada.home, ada.environ, "-m", "dits_client", "clone", film, "two") as process:
        while not (two / ".dits").exists():
            assert process.poll() is None
            await asyncio.sleep(0.05)
        process.kill()
    await dits(ada, ada.home, "clone", film, "two")
    assert read_files(two) == read_files(one)
    write(one, {"a": b"2", "b": b"3"})
    await ada.push("one")
    with await asyncio.to_thread(hold, ada, two, "file", "a") as program:
        answer = await dits(ada, two, "pull", fails=1)
        program.communicate()
    assert answer.splitlines()[1:] == ["  a"]
    assert "run the same command again" in answer
    with await asyncio.to_thread(hold, ada, two, "lock", ".dits\\lock") as program:
        assert "another dits command is at work" in await dits(ada, two, "pull", fails=1)
        program.communicate()
    await dits(ada, two, "pull")
    assert read_files(two) == read_files(one)
    assert "Nothing has changed." in await dits(ada, two, "status")
