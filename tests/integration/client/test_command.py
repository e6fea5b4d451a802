"""The `dits` command against running services: accounts, and a day of work."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from dits_client.cli.credentials import Credentials, config_directory
from tests.support.api import Api
from tests.support.client import NOISE, PASSWORD, Run, write


async def test_logging_in_and_out(run: Run, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not logged in" in await run("whoami", fails=True)
    told = await run("login", "--register", "-u", "ada", "--email", "ada@example.org")
    assert told.strip().endswith("as ada.")
    shown = (await run("whoami")).splitlines()
    assert shown[0].startswith("ada on http://127.0.0.1:")
    assert shown[1].startswith("API token ")
    assert "lock:write" in shown[2]
    # The session is gone; what stays is a token that a long push cannot outlive.
    assert await api.value("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == 0
    scopes = await api.value("SELECT scopes FROM api_tokens")
    assert sorted(scopes) == [
        "key:read",
        "lock:write",
        "notification:write",
        "org:read",
        "repo:write",
        "user:read",
        "webhook:write",
    ]
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


async def test_strangers_at_the_address_do_not_keep_a_known_device_out(run: Run, api: Api) -> None:
    await run("login", "--register", "-u", "ada", "--email", "ada@example.org")
    await run("logout")
    assert (config_directory() / "devices.json").stat().st_mode & 0o777 == 0o600
    await api.fetch(
        """INSERT INTO login_throttles (bucket, failures, blocked_until)
           VALUES ('login ada from 127.0.0.0/24', 10, now() + interval '15 minutes')
           ON CONFLICT (bucket) DO UPDATE SET blocked_until = excluded.blocked_until"""
    )
    assert (await run("login", "-u", "ADA")).strip().endswith("as ada.")


async def test_a_token_instead_of_a_password(
    run: Run, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await api.account("bob")
    token = await api.api_token(bob, "repo:read")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{token.token}\n"))
    assert (await run("login", "--token")).strip().endswith("as bob.")
    assert "lacks the scope repo:write" in await run("repo", "create", "x", fails=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("dits_pat_nonsense\n"))
    assert "run `dits login http:" in await run("login", "--token", fails=True)
    full = await api.api_token(bob, "repo:write")
    monkeypatch.setenv("DITS_TOKEN", full.token)
    await run("repo", "create", "x")
    assert await run("repo", "list") == "private   bob/x\n"


async def test_a_day_of_work(
    run: Run, logged_in: str, home: Path, monkeypatch: pytest.MonkeyPatch
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
    assert len((await run("log", "shots/1/")).splitlines()) == 2
    assert (await run("log", "shots/l")).endswith("  ada  First version\n")
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
