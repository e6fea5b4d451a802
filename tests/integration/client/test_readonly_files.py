"""With lock.readonly, what needs a lock and is not locked by the user is read-only; it is no change."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dits.lock.v1.lock_service_pb2 import WatchRequest

from dits_client.cli.main import main
from tests.support.api import Api
from tests.support.client import Person, Run, read, write
from tests.support.client_locks import REPOSITORY, live_locks, remote, take_locks


def writable(folder: Path) -> set[str]:
    return {path for path, found in read(folder).items() if found[0] and int(found[0]) & 0o222}


def edit(path: Path, content: bytes) -> None:
    """As a user who is told no, and writes all the same."""
    path.chmod(0o644)
    path.write_bytes(content)


@pytest.fixture
async def one(
    api: Api, run: Run, ada: Person, home: Path, locked_film: None, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder of ada's in a repository that requires locks for some files, as the command sees it."""
    for name, value in ada.environ.items():
        monkeypatch.setenv(name, value)
    await api.fetch("UPDATE repository_settings SET lock_patterns = '{a,b,shots/}'")
    write(ada.home / "one", {"free": b"5", "shots/f": b"6"})
    (ada.home / "one/shots/f").chmod(0o555)
    await ada.push("one")
    monkeypatch.chdir(ada.home / "one")
    return ada.home / "one"


async def test_locks_make_files_writable(
    run: Run, ada: Person, bob: Person, one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read(one)
    assert await run("config", "lock.readonly", "true") == ""
    assert json.loads(await run("config", "lock.readonly", "--json")) == {"lock.readonly": True}
    assert (writable(one), await ada.changes("one")) == ({"free"}, [])
    # The index is a cache: without it, modes are no changes either.
    (one / ".dits/index").unlink()
    assert await ada.changes("one") == []
    await run("lock", "a", "shots")
    # What the commit has read-only stays so.
    assert writable(one) == {"a", "free", "shots/c", "shots/d/e"}
    await run("unlock", "shots")
    assert writable(one) == {"a", "free"}
    # A copy of a read-only file is a new file of the user's.
    (one / "copy").write_bytes(b"2")
    (one / "copy").chmod(0o444)
    write(one, {"a": b"11"})
    await run("push", "-q")
    assert await ada.changes("one") == []
    assert writable(one) == {"a", "copy", "free"}
    await run("unlock", "a")
    await bob.pull("two")
    write(bob.home / "two", {"a": b"111", "shots/c": b"33"})
    await bob.push("two")
    assert read(bob.home / "two")["copy"] == (0o644, b"2")
    await run("pull", "-q")
    await run("switch", "-q", "-c", "side")
    assert (writable(one), (one / "a").read_bytes()) == ({"copy", "free"}, b"111")
    # Editors save by renaming: what they leave is writable, and locked for the push.
    write(one, {"b": None})
    write(one, {"b": b"22"})
    await run("push", "-q")
    await run("undo", "-q")
    assert (writable(one), (one / "b").read_bytes()) == ({"copy", "free"}, b"2")
    await run("config", "lock.readonly", "false")
    assert {path: found[0] for path, found in read(one).items() if path in before} == {
        path: found[0] for path, found in before.items()
    }


async def test_who_writes_without_a_lock_is_told(
    run: Run, ada: Person, one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await run("config", "lock.readonly", "true")
    edit(one / "b", b"22")
    (one / "a").chmod(0o644)
    lines = (await run("status")).splitlines()
    assert lines[1:4] == ["  changed  b", "  unlocked a", "  unlocked b"]
    assert "without a lock of yours: `dits lock` comes first" in lines[4]
    assert json.loads(await run("status", "--json"))["unlocked"] == ["a", "b"]
    # What has changes stays as it is; the rest is read-only again.
    await run("pull", "-q")
    assert writable(one) == {"free", "b"}
    capsys.readouterr()
    assert await asyncio.to_thread(main, ["push", "-q"]) == 0
    told = capsys.readouterr().err
    assert '"b" was changed without your lock: `dits lock` comes first' in told
    assert (writable(one), await live_locks(ada)) == ({"free"}, {})


async def test_what_happens_to_locks_is_printed_until_the_user_ends_it(
    run: Run, ada: Person, bob: Person, one: Path
) -> None:
    def find_cursor() -> str:
        request = WatchRequest(repository=REPOSITORY)
        film = remote(ada)
        call = film.locks.Watch(request, metadata=film.metadata)
        cursor = str(next(film.read_stream(call)).cursor)
        call.cancel()
        return cursor

    cursor = await asyncio.to_thread(find_cursor)
    await run("lock", "a", "--reason", "sweeping")
    await take_locks(bob, "b")
    first, second = (await run("locks", "--watch", "--cursor", cursor, "-n", "2")).splitlines()
    assert "  acquired  a  exclusive  you  since " in first
    assert "  acquired  b  exclusive  bob  since " in second
    await run("locks", "-n", "2", fails=2)
    watch = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dits_client", "locks", "--watch", "--json", "--cursor", cursor),
        cwd=one, env=os.environ | ada.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert watch.stdout is not None
    found = json.loads(await watch.stdout.readline())
    assert found["event"]["locks"][0]["path"] == "a"
    watch.send_signal(signal.SIGINT)
    _, told = await watch.communicate()
    assert (watch.returncode, told) == (130, b"")


async def test_a_setting_that_the_server_cannot_answer_is_not_made(
    api: Api, run: Run, one: Path
) -> None:
    await api.fetch("UPDATE repositories SET deleted_at = now()")
    told = await run("config", "lock.readonly", "true", fails=1)
    assert "was deleted" in told
    assert told.count("\n") == 1
    assert await run("config", "lock.readonly") == "lock.readonly = false\n"
