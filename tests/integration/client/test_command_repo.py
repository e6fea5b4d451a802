"""`dits repo`: the commands that change repositories."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.api import Api
from tests.support.client import Run, write

SCOPES = ("repo:admin", "repo:delete", "site:admin", "user:read")


@pytest.fixture
async def film(api: Api, run: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository of ada's; commands are run with a token of the operator's that is hers."""
    ada = await api.account("ada")
    monkeypatch.setenv("DITS_TOKEN", (await api.api_token(ada, *SCOPES)).token)
    await run("repo", "create", "film")
    return "ada/film"


async def test_a_repository_from_the_command_line(run: Run, film: str) -> None:
    assert "nothing to change" in await run("repo", "update", film, fails=2)
    told = await run(
        "repo", "update", film, "--description", "a film", "--visibility", "public", "--archived"
    )
    assert told == "Changed ada/film.\n"
    shown = await run("repo", "show", film)
    assert re.search(r"^visibility +public$", shown, re.MULTILINE)
    assert re.search(r"^state +archived$", shown, re.MULTILINE)
    assert "archived" in await run("repo", "rename", film, "movie", fails=True)
    await run("repo", "update", film, "--no-archived")
    told = await run("repo", "rename", film, "movie")
    assert told.startswith("It is ada/movie now")
    assert json.loads(await run("repo", "show", film, "--json"))["name"] == "movie"


async def test_rules_from_the_command_line(run: Run, film: str) -> None:
    told = await run(
        "repo", "settings", film, "--lock-patterns", "*.blend", "!tmp/", "--no-portable-names",
        "--max-file-size", "1000", "--allowed-extensions", "exr", "blend",
    )  # fmt: skip
    assert told == "Changed the rules of ada/film.\n"
    shown = await run("repo", "settings", film)
    assert re.search(r"^lock patterns +\*\.blend !tmp/$", shown, re.MULTILINE)
    assert re.search(r"^largest file +1,000$", shown, re.MULTILINE)
    await run("repo", "settings", film, "--lock-patterns", "", "--require-lock-for-edit")
    settings = json.loads(await run("repo", "settings", film, "--json"))
    assert settings["require_lock_for_edit"]
    assert "lock_patterns" not in settings
    shown = await run("repo", "stats", film)
    assert re.search(r"^commit +0$", shown, re.MULTILINE)
    assert json.loads(await run("repo", "stats", film, "--json"))["dedup_ratio"] == 1


async def test_grants_from_the_command_line(api: Api, run: Run, film: str) -> None:
    await api.account("bob")
    assert await run("repo", "grants", film) == ""
    assert await run("repo", "grant", film, "bob", "write") == "bob has write now.\n"
    told = await run("repo", "grants", film)
    assert re.search(r"^bob +user +write +\S+ +ada$", told, re.MULTILINE)
    assert json.loads(await run("repo", "grants", film, "--json"))["username"] == "bob"
    assert "not found" in await run("repo", "grant", film, "fx", "read", "--team", fails=True)
    assert await run("repo", "revoke", film, "bob") == "Took back what bob was given.\n"


async def test_deletion_from_the_command_line(run: Run, film: str) -> None:
    assert "It could be deleted" in await run("repo", "delete", film, "--dry-run")
    told = await run("repo", "delete", film)
    found = re.search(r"dits repo undelete (\S+)$", told)
    assert found is not None
    assert found[1] in await run("repo", "undelete")
    await run("repo", "create", "film")
    assert "is taken" in await run("repo", "undelete", found[1], fails=True)
    told = await run("repo", "undelete", found[1], "--name", "old")
    assert told == "ada/old is back.\n"


async def test_a_transfer_from_the_command_line(
    api: Api, run: Run, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await api.account("bob")
    assert "bob has to accept it" in await run("repo", "transfer", film, "bob")
    assert await run("repo", "transfer", film, "--cancel") == "ada/film stays with ada.\n"
    assert "no open request" in await run("repo", "transfer", film, "--cancel", fails=True)
    await run("repo", "transfer", film, "bob")
    monkeypatch.setenv("DITS_TOKEN", (await api.api_token(bob, *SCOPES)).token)
    assert await run("repo", "transfer", film, "--accept") == "It is bob/film now.\n"


async def test_a_push_locks_only_what_the_patterns_are_about(
    api: Api, run: Run, film: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("repo", "settings", film, "--lock-patterns", "*.blend")
    write(home / "film", {"a.blend": b"1", "notes.txt": b"1"})
    monkeypatch.chdir(home / "film")
    await run("init")
    await run("push")
    write(home / "film", {"a.blend": b"2", "notes.txt": b"2"})
    await run("push")
    rows = await api.fetch("SELECT DISTINCT path FROM lock_history")
    assert [row["path"] for row in rows] == ["a.blend"]
