"""The commands that take, list, steal and release locks."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from dits.lock.v1.lock_service_pb2 import AcquireLocksRequest

from dits_client.terminal import quote_text
from tests.support.api import Account, Api
from tests.support.client import Run, write
from tests.support.notifications import list_told


async def lock_for_bob(api: Api, bob: Account, *paths: str) -> None:
    """Locks of bob's in the only repository, in which he may write."""
    await api.fetch(
        """INSERT INTO repository_collaborators (repo_id, user_id, permission)
           SELECT r.id, u.id, 'write' FROM repositories r, users u WHERE u.username = 'bob'
           ON CONFLICT DO NOTHING"""
    )
    film = await api.fetch("SELECT id::text FROM repositories")
    request = AcquireLocksRequest(repository=film[0][0], paths=paths, reason="grading")
    await api.locks.AcquireLocks(request, metadata=bob.auth)


async def test_stealing_from_the_command_line(
    api: Api, run: Run, film_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await api.account("bob")
    await lock_for_bob(api, bob, "a", "shots/b", "shots/c")
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
    assert len(await list_told(api, bob)) == 2
    # One's own lock gets another mode without a password.
    monkeypatch.setenv("DITS_PASSWORD", "wrong password 123")
    assert (await run("steal", "a", "--shared", "--reason", "done")).startswith("locked: a until")
    assert [line.split("  ")[:3] for line in (await run("locks")).splitlines()] == [
        ["a", "shared", "you"],
        ["shots/", "exclusive", "you"],
    ]
    await lock_for_bob(api, bob, "d")
    told = await run("steal", "d", "--reason", "mine", fails=True)
    assert told == "dits: wrong username or password\n"
    # A user who is not an administrator is told so.
    monkeypatch.setenv("DITS_TOKEN", bob.token)
    told = await run("steal", "shots/b", "--reason", "mine", fails=True)
    assert told == "dits: this needs the permission ADMIN; you have WRITE\n"


async def test_what_is_locked_is_the_newest_version(
    api: Api, run: Run, logged_in: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("repo", "create", "film")
    write(home / "film", {"a": b"1", "shots/b": b"2", "shots/c": b"3"})
    monkeypatch.chdir(home / "film")
    await run("init")
    assert (await run("lock", "a")).startswith("locked: a")
    await run("unlock", "a", "--discard-protection")
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
    told = await run("lock", "new", "--new", fails=True)
    assert told.startswith("dits: side is no longer on the server")
    assert (await run("lock", "new", "--new", "--outdated")).startswith("locked: new")


async def test_locks_from_the_command_line(
    run: Run, film_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await run("locks") == ""
    told = await run("lock", "a", "./shots/../a", "--reason", "grading", "--ttl", "30m")
    assert told.startswith("locked: a until 20")
    monkeypatch.chdir(film_folder / "shots")
    assert (await run("lock", "../shots")).startswith("locked: shots/ until 20")
    assert (await run("lock", "../a")).startswith("yours already: a until 20")
    assert (await run("lock", "new", "--new", "--advisory", "--release-on-push")).startswith(
        "locked: shots/"
    )
    lines = (await run("locks", "--mine")).splitlines()
    assert [line.split("  ")[:3] for line in lines] == [
        ["a", "exclusive", "you"],
        ["shots/", "exclusive", "you"],
        ["shots/new", "advisory", "you"],
    ]
    assert lines[0].endswith("(grading)")
    assert "is not in" in await run("lock", "/etc/passwd", fails=2)
    assert "the whole folder" in await run("lock", "..", fails=2)
    assert 'you hold no lock on "shots/b": did' in await run("unlock", "b", "new", fails=True)
    assert await run("unlock", "new", "../a", "../shots") == (
        "released: shots/new\nreleased: a\nreleased: shots/\n"
    )
    assert await run("locks") == ""


async def test_what_no_commit_can_have_is_not_locked(run: Run, film_folder: Path) -> None:
    os.mkfifo(film_folder / "pipe")
    told = await run("lock", "pipe", fails=True)
    assert told == 'dits: "pipe" is neither a file, a folder nor a link\n'
    for name, more in (("a\x1b", "--new"), ("new\u202e/", ""), ("shots/b\\", "--new")):
        told = await run("lock", name, *more.split(), fails=True)
        assert told.startswith(f"dits: the name {quote_text(name.rstrip('/'))} "), name
        assert told.endswith(": rename it\n")
    assert await run("locks", "--json") == ""
