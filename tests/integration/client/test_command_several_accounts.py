"""Several accounts on one server: a personal and a service account of one artist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.api import Api
from tests.support.client import Run, write


@pytest.fixture
async def two_accounts(run: Run, api: Api) -> None:
    """The user has logged in as ada, who has a repository `ada/film`, then as bot, who may write to it."""
    await run("login", "--register", "-u", "ada", "--email", "ada@example.org")
    await run("repo", "create", "film", "--no-require-lock")
    await run("login", "--register", "-u", "bot", "--email", "bot@example.org")
    await api.fetch(
        """INSERT INTO repository_collaborators (repo_id, user_id, permission)
           SELECT r.id, u.id, 'write' FROM repositories r, users u WHERE u.username = 'bot'"""
    )


async def list_accounts(run: Run) -> list[str]:
    lines = (await run("account", "list", "--json")).splitlines()
    return [json.loads(line)["username"] for line in lines]


async def get_author(run: Run) -> str:
    return str(json.loads(await run("log", "-n", "1", "--json"))["author"]["name"])


async def test_a_folder_is_used_with_the_account_that_cloned_it(
    run: Run, two_accounts: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await list_accounts(run) == ["bot", "ada"]
    assert (await run("account", "list")).splitlines()[1].startswith("bot *")
    await run("clone", "ada/film", "of-bot")
    told = await run("account", "switch", "ADA")
    assert told.startswith("ada on http://")
    await run("clone", "film", "of-ada")
    for folder, name in (("of-bot", "bot"), ("of-ada", "ada")):
        monkeypatch.chdir(home / folder)
        assert (await run("whoami")).startswith(f"{name} on ")
        write(home / folder, {name: b"1"})
        await run("pull")
        await run("push")
        assert await get_author(run) == name
    # The other way round, as the user says.
    monkeypatch.setenv("DITS_USER", "bot")
    write(home / "of-ada", {"more": b"2"})
    await run("push")
    assert await get_author(run) == "bot"
    monkeypatch.delenv("DITS_USER")
    await run("config", "account", "BOT")
    assert json.loads(await run("config", "account", "--json")) == {"account": "bot"}
    assert "not logged in as eve" in await run("config", "account", "eve", fails=True)
    await run("config", "account", "")
    assert (await run("whoami")).startswith("ada on ")


async def test_one_of_several_accounts_is_logged_out(
    run: Run, two_accounts: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("clone", "ada/film", "of-bot")
    assert "not logged in" in await run("logout", "-u", "eve", fails=True)
    told = await run("logout", "-u", "bot")
    assert "as bot.\nStill logged in there: ada.\n" in told
    assert await list_accounts(run) == ["ada"]
    assert (await run("whoami")).startswith("ada on ")
    # Nobody pushes there under another name by chance; what helps is said.
    monkeypatch.chdir(home / "of-bot")
    told = await run("pull", fails=True)
    assert re.search(
        r"run `dits login -u bot http:\S+`, or in a folder `dits config account NAME`", told
    )
    await run("config", "account", "ada")
    await run("pull")
    assert "run `dits login -u bot" in await run("account", "switch", "bot", fails=True)


async def test_sudo_is_of_one_account(run: Run, two_accounts: None) -> None:
    await run("sudo")
    await run("account", "switch", "ada")
    assert "sudo until" not in await run("whoami")
    await run("account", "switch", "bot")
    await run("sudo", "--end")
