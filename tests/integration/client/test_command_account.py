"""`dits account`."""

from __future__ import annotations

import asyncio
import io
import json
import sys

import pytest

from dits_client.cli import account
from dits_client.cli.main import main
from shared.runtime.server_key import ServerKey
from tests.support.api import Api
from tests.support.client import PASSWORD, Run
from tests.support.mailed_links import NEW, read_tokens
from tests.support.organizations import Studio


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What comes through stdin."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


async def test_an_account_is_shown_and_changed(
    run: Run, logged_in: str, api: Api, key: ServerKey
) -> None:
    await run("account", "update", "--name", "Ada L.", "--set", "theme=dark", "--set", "grid=1")
    await run("account", "update", "--unset", "grid", "--avatar-url", "https://example.com/a.png")
    lines = (await run("account", "show")).splitlines()
    assert lines[:3] == [
        "username    ada",
        "name        Ada L.",
        "email       ada@example.org (not verified: `dits account verify`)",
    ]
    assert lines[-1] == "  theme     dark"
    shown = json.loads(await run("account", "show", "--json"))
    assert (shown["preferences"], shown["name"]) == ({"theme": "dark"}, "Ada L.")
    await api.account("bob")
    assert (await run("account", "show", "bob")).startswith("username    bob\nname        bob\n")
    assert json.loads(await run("account", "show", "bob", "--json"))["username"] == "bob"
    assert "user 'nobody' not found" in await run("account", "show", "nobody", fails=True)
    assert "nothing to change" in await run("account", "update", fails=2)
    told = await run("account", "change-email", "ada@example.com")
    assert "A link was mailed to ada@example.com: open it there, within 24 hours.\n" in told
    assert "new email   ada@example.com" in await run("account", "show")
    [token] = await read_tokens(api, key, "change_email")
    assert "Verified.\n" in await run("account", "verify", token)
    assert "email       ada@example.com\n" in await run("account", "show")
    told = await run("account", "change-email", "ada@example.org")
    assert "to ada@example.org and to ada@example.com" in told
    assert "other address" in await run(
        "account", "verify", (await read_tokens(api, key, "change_email"))[-1]
    )


async def test_links_need_no_login(
    run: Run, logged_in: str, api: Api, key: ServerKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not verified, a link was mailed" in await run("account", "verify")
    await run("logout")
    assert "not logged in" in await run("account", "verify", fails=True)
    for token in await read_tokens(api, key, "verify_email"):
        if await api.value("SELECT email_verified FROM users"):
            assert "not good" in await run("account", "verify", token, fails=True)
        else:
            await run("account", "verify", token)
    for login in ("nobody", "ada"):
        assert "If there is such an account" in await run("account", "reset-password", login)
    [token] = await read_tokens(api, key, "reset_password")
    type_in(monkeypatch, "short\n")
    set_it = ("account", "reset-password", "--token", token, "--password-stdin")
    assert "the new password must have 12" in await run(*set_it, fails=True)
    type_in(monkeypatch, f"{NEW}\n")
    await run(*set_it)
    type_in(monkeypatch, f"{NEW}\n")
    assert "the token is not good" in await run(*set_it, fails=True)
    assert "wrong username or password" in await run("login", "-u", "ada", fails=True)
    monkeypatch.setenv("DITS_PASSWORD", NEW)
    await run("login", "-u", "ada")


async def test_a_password_is_changed_and_no_session_is_left(
    run: Run, logged_in: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, f"{NEW}\n")
    assert "have ended" in await run("account", "change-password")
    assert not await api.value("SELECT count(*) FROM sessions WHERE revoked_at IS NULL")
    await run("account", "show")
    type_in(monkeypatch, f"{NEW}\n")
    assert "wrong username or password" in await run("account", "change-password", fails=True)
    monkeypatch.setenv("DITS_PASSWORD", NEW)
    type_in(monkeypatch, f"{PASSWORD}\n")
    await run("account", "change-password", "--password-stdin")


async def test_an_account_is_deleted_with_its_login(run: Run, logged_in: str, api: Api) -> None:
    studio = await Studio.open(api)
    ada = await api.fetch("SELECT id FROM users WHERE username = 'ada'")
    await api.fetch(
        "UPDATE organization_members SET user_id = $1 WHERE org_id = $2::uuid",
        ada[0]["id"],
        studio.id,
    )
    assert "make another member an owner" in await run(
        "account", "delete", "ada", "--dry-run", fails=True
    )
    await api.fetch("DELETE FROM organization_members")
    assert "must be your own" in await run("account", "delete", "bob", fails=True)
    assert "It could be deleted: ada.\n" in await run("account", "delete", "ada", "--dry-run")
    assert "Deleted: ada.\n" in await run("account", "delete", "ada")
    assert "not logged in" in await run("account", "show", fails=True)
    assert await api.value("SELECT count(*) FROM users WHERE username = 'ada'") == 0


async def test_a_login_at_an_older_server_is_without_what_that_does_not_know(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(account, "SCOPES", (*account.SCOPES, "future:write", "later:read"))
    line = ["login", "--register", "-u", "ada", "--email", "ada@example.org"]
    assert await asyncio.to_thread(main, line) == 0
    told = capsys.readouterr().err
    assert all(
        f"older than dits: the login is without {x}" in told for x in ("future:write", "later:read")
    )
    assert "notification:write" in await run("whoami")
