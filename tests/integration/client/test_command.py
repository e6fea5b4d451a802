"""The `dits` command against running services, from the first login to the last lock."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from dits.lock.v1.lock_service_pb2 import AcquireLocksRequest

from dits_client.cli.credentials import Credentials
from dits_client.cli.main import main
from tests.support.api import Api
from tests.support.client import NOISE, write

PASSWORD = "correct horse battery staple"
Run = Callable[..., Awaitable[str]]


@pytest.fixture
def home(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder; the environment points at the running services."""
    for name in [name for name in os.environ if name.startswith("DITS_")]:
        monkeypatch.delenv(name)
    for service, address in api.addresses.items():
        monkeypatch.setenv(f"DITS_{service.upper()}", address)
    monkeypatch.setenv("DITS_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("DITS_PASSWORD", PASSWORD)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    async def run(*arguments: str, fails: bool = False) -> str:
        """Run a command; return what it said, on stderr if it is to fail."""
        capsys.readouterr()
        code = await asyncio.to_thread(main, arguments)
        told = capsys.readouterr()
        assert code == fails, told.err
        # The services run in this process, and write their log to the same place.
        lines = (told.err if fails else told.out).splitlines(keepends=True)
        return "".join(line for line in lines if " request_id=" not in line)

    return run


@pytest.fixture
async def ada(run: Run) -> str:
    await run("login", "--register", "-u", "ada", "--email", "ada@example.org")
    return "ada"


async def test_logging_in_and_out(run: Run, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not logged in" in await run("whoami", fails=True)
    told = await run("login", "--register", "-u", "ada", "--email", "ada@example.org")
    assert told.strip().endswith("as ada.")
    assert (await run("whoami")).startswith("ada on http://127.0.0.1:")
    # The session is gone; what stays is a token that a long push cannot outlive.
    assert await api.value("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == 0
    scopes = await api.value("SELECT scopes FROM api_tokens")
    assert sorted(scopes) == ["lock:write", "repo:write", "user:read"]
    kept = Credentials().get()
    assert kept is not None
    assert (kept.username, kept.email) == ("ada", "ada@example.org")
    await run("logout")
    assert "not logged in" in await run("whoami", fails=True)
    monkeypatch.setenv("DITS_PASSWORD", "wrong password 123")
    assert "wrong username or password" in await run("login", "-u", "ada", fails=True)
    monkeypatch.delenv("DITS_PASSWORD")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    await run("login", "-u", "ada@example.org", "--password-stdin")
    assert (await run("whoami")).startswith("ada on ")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "stdin is not a terminal" in await run("login", fails=True)


async def test_a_token_instead_of_a_password(
    run: Run, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await api.account("bob")
    token = await api.api_token(bob, "repo:read")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{token.token}\n"))
    assert (await run("login", "--token")).strip().endswith("as bob.")
    assert "lacks the scope repo:write" in await run("repo", "create", "x", fails=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("dits_pat_nonsense\n"))
    assert "run `dits login`" in await run("login", "--token", fails=True)
    full = await api.api_token(bob, "repo:write")
    monkeypatch.setenv("DITS_TOKEN", full.token)
    await run("repo", "create", "x")
    assert await run("repo", "list") == "private   bob/x\n"


async def test_a_day_of_work(
    run: Run, ada: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await run("repo", "create", "film", "--visibility", "internal") == "Created ada/film.\n"
    assert "is taken" in await run("repo", "create", "Film", fails=True)
    assert await run("repo", "list") == "internal  ada/film\n"
    write(home / "film", {"a.bin": NOISE[:1_000_000], "shots/1/b.txt": b"one", "shots/l": "1"})
    monkeypatch.chdir(home / "film")
    assert "run `dits init`" in await run("push", fails=True)
    assert "follows main of ada/film" in await run("init")
    assert "new      a.bin" in await run("status")
    first = json.loads(await run("push", "-m", "First version", "--json"))
    assert (first["files"], first["changed"], first["chunks_sent"]) == (3, 3, first["chunks"])
    assert (await run("push")).startswith("Nothing to push")
    assert "Nothing has changed." in await run("status")
    write(home / "film", {"shots/1/b.txt": b"two", "a.bin": None})
    assert "changed  shots/1/b.txt\n  deleted  a.bin" in await run("status")
    assert (await run("push", "-m", "Second\nwith a body")).startswith("Pushed ")
    listed = (await run("log")).splitlines()
    assert [line.split("  ", 2)[2] for line in listed] == ["ada  Second", "ada  First version"]
    assert len((await run("log", "-n", "1")).splitlines()) == 1
    assert (await run("ls")).split() == ["dir", "3", "shots/"]
    assert (await run("ls", "shots")).split() == ["dir", "3", "1/", "link", "0", "l", "->", "1"]
    assert (await run("ls", "shots/1/b.txt")).split() == ["0644", "3", "b.txt"]
    assert "a.bin" in await run("ls", "--revision", first["commit"])
    assert "not found" in await run("ls", "none", fails=True)
    monkeypatch.chdir(home)
    got = json.loads(await run("clone", "film", "copy", "--json"))
    assert (got["files"], got["branch"]) == (2, "main")
    monkeypatch.chdir(home / "copy" / "shots")
    assert (await run("pull")).startswith("Nothing to pull")
    assert await run("push", "--quiet") == ""


async def test_stealing_from_the_command_line(
    api: Api, run: Run, ada: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("repo", "create", "film")
    write(home / "film", {"a": b"1", "shots/b": b"2"})
    monkeypatch.chdir(home / "film")
    await run("init")
    await run("push")
    bob = await api.account("bob")
    film = await api.fetch("SELECT id::text FROM repositories")
    await api.fetch(
        """INSERT INTO repository_collaborators (repo_id, user_id, permission)
           SELECT r.id, u.id, 'write' FROM repositories r, users u WHERE u.username = 'bob'"""
    )
    request = AcquireLocksRequest(
        repository=film[0][0], paths=["a", "shots/b", "shots/c"], reason="grading"
    )
    await api.locks.AcquireLocks(request, metadata=bob.auth)
    told = await run("lock", "a", fails=True)
    assert re.fullmatch(
        r'dits: "a" is locked by bob since \S+ \S+ UTC until \S+ \S+ UTC \(grading\)\n', told
    )
    # The login's token alone may not; the password may, which comes from the environment here.
    told = await run("steal", "a", "shots/", "--reason", "bob is on holiday", "--ttl", "1h")
    assert re.sub(r"20[-0-9]+ [:0-9]+ UTC", "T", told).splitlines() == [
        "locked: a until T",
        "  taken away: a  exclusive  bob  since T  until T  (grading)",
        "locked: shots/ until T",
        "  taken away: shots/b  exclusive  bob  since T  until T  (grading)",
        "  taken away: shots/c  exclusive  bob  since T  until T  (grading)",
    ]
    notices = await api.fetch("SELECT title FROM notifications WHERE user_id = $1", bob.id)
    assert len(notices) == 2
    # One's own lock gets another mode without a password.
    monkeypatch.setenv("DITS_PASSWORD", "wrong password 123")
    assert (await run("steal", "a", "--shared", "--reason", "done")).startswith("locked: a until")
    assert [line.split("  ")[:3] for line in (await run("locks")).splitlines()] == [
        ["a", "shared", "you"],
        ["shots/", "exclusive", "you"],
    ]
    await api.locks.AcquireLocks(
        AcquireLocksRequest(repository=film[0][0], paths=["d"]), metadata=bob.auth
    )
    told = await run("steal", "d", "--reason", "mine", fails=True)
    assert told == "dits: wrong username or password\n"
    # Whoever is no administrator is told so.
    monkeypatch.setenv("DITS_TOKEN", bob.token)
    told = await run("steal", "shots/b", "--reason", "mine", fails=True)
    assert told == "dits: this needs the permission ADMIN; you have WRITE\n"


async def test_what_is_locked_is_the_newest_version(
    api: Api, run: Run, ada: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("repo", "create", "film")
    write(home / "film", {"a": b"1", "shots/b": b"2", "shots/c": b"3"})
    monkeypatch.chdir(home / "film")
    await run("init")
    assert (await run("lock", "a")).startswith("locked: a")
    await run("unlock", "a")
    await run("push")
    await run("clone", "film", str(home / "old"))
    write(home / "film", {"a": b"11", "shots/c": b"33"})
    await run("push")
    monkeypatch.chdir(home / "old")
    assert (await run("lock", "shots/b")).startswith("locked: shots/b")
    told = await run("lock", "a", "shots/c", fails=True)
    assert re.fullmatch(
        r'dits: "a" \(and 1 more\) has a newer version on main, by [0-9a-f]{12}: '
        r"run `dits pull` first\n",
        told,
    )
    assert "newer version" in await run("lock", "shots", fails=True)
    assert (await run("lock", "a", "--outdated")).startswith("locked: a")
    await run("pull")
    assert (await run("lock", "shots")).startswith("locked: shots/")
    await run("push", "--branch", "side")
    await api.fetch("DELETE FROM branches WHERE name = 'side'")
    told = await run("lock", "new", fails=True)
    assert told.startswith("dits: side is no longer on the server")
    assert (await run("lock", "new", "--outdated")).startswith("locked: new")


async def test_locks_from_the_command_line(
    run: Run, ada: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("repo", "create", "film")
    write(home / "film", {"a": b"1", "shots/b": b"2"})
    monkeypatch.chdir(home / "film")
    await run("init")
    await run("push")
    assert await run("locks") == ""
    told = await run("lock", "a", "./shots/../a", "--reason", "grading", "--ttl", "30m")
    assert told.startswith("locked: a until 20")
    monkeypatch.chdir(home / "film" / "shots")
    assert (await run("lock", "../shots")).startswith("locked: shots/ until 20")
    assert (await run("lock", "../a")).startswith("yours already: a until 20")
    assert (await run("lock", "new", "--advisory", "--release-on-push")).startswith(
        "locked: shots/"
    )
    lines = (await run("locks", "--mine")).splitlines()
    assert [line.split("  ")[:3] for line in lines] == [
        ["a", "exclusive", "you"],
        ["shots/", "exclusive", "you"],
        ["shots/new", "advisory", "you"],
    ]
    assert lines[0].endswith("(grading)")
    assert "is not in" in await run("lock", "/etc/passwd", fails=True)
    assert "the whole folder" in await run("lock", "..", fails=True)
    assert "you hold no lock on shots/b" in await run("unlock", "b", "new", fails=True)
    assert await run("unlock", "new", "../a", "../shots") == (
        "released: shots/new\nreleased: a\nreleased: shots/\n"
    )
    assert await run("locks") == ""
