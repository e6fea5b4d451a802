"""The commands for organisations and teams."""

from __future__ import annotations

import json
import re

import pytest

from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from tests.support.api import Api
from tests.support.client import Run
from tests.support.organizations import read_mailed_tokens


@pytest.fixture
def settings(settings: Settings) -> Settings:
    # Mails stay in their queue, and out of the log, which is printed beside what commands say.
    return settings.model_copy(update={"worker": False})


async def test_an_organisation_from_the_command_line(api: Api, run: Run, logged_in: str) -> None:
    assert await run("org", "list") == ""
    assert await run("org", "create", "studio", "--display-name", "Studio Ö") == "Created studio.\n"
    assert await run("org", "list") == (
        "NAME    YOUR ROLE  DISPLAY NAME\nstudio  owner      Studio Ö\n"
    )
    told = await run(
        "org", "update", "studio", "--name", "lab", "--member-permission", "none",
        "--website", "https://example.com", "--description", "a\x1b[31m",
        fails=True,
    )  # fmt: skip
    assert "description" in told
    told = await run(
        "org", "update", "studio", "--name", "lab", "--member-permission", "none",
        "--website", "https://example.com",
    )  # fmt: skip
    assert told == "Changed lab.\n"
    told = await run("org", "show", "studio")
    assert re.search(r"^name +lab\n", told)
    assert "member-permission  none\n" in told
    assert "members            1\n" in told
    assert json.loads(await run("org", "show", "lab", "--json"))["website"] == "https://example.com"
    assert "nothing to change" in await run("org", "update", "lab", fails=2)
    assert "LAST" not in await run("org", "leave", "lab", fails=True)
    await run("repo", "create", "lab/film")
    told = await run("org", "delete", "lab", "--dry-run", fails=True)
    assert "'lab' owns the repository 'film': transfer or delete first" in told
    await api.fetch("DELETE FROM repository_settings")
    await api.fetch("DELETE FROM repository_stats")
    await api.fetch("DELETE FROM repositories")
    assert await run("org", "delete", "lab", "--dry-run") == "It could be deleted: lab.\n"
    assert await run("org", "delete", "lab") == "Deleted: lab.\n"


async def use_tokens(api: Api, *names: str) -> list[str]:
    """Makes accounts, and returns the secret of a token of each, which no password is asked for."""
    accounts = [await api.account(name) for name in names]
    return [(await api.api_token(account, "org:admin", "user:write")).token for account in accounts]


async def test_invitations_from_the_command_line(
    api: Api, run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ServerKey.load(settings.server_key, settings.data_dir)
    ada, bob = await use_tokens(api, "ada", "bob")
    monkeypatch.setenv("DITS_TOKEN", ada)
    await run("org", "create", "studio")
    for email in ("bob@example.com", "eve@example.com"):
        told = await run("org", "invite", "studio", email, "--role", "admin")
        assert re.fullmatch(rf"Invited {email} as admin, until \S+ \S+ UTC\.\n", told)
    assert "Invited eve@" in await run("org", "resend", "studio", "EVE@example.com")
    told = await run("org", "invitations", "studio")
    assert re.search(r"^ID +ORGANISATION +E-MAIL +ROLE +INVITED BY +ENDS\n", told)
    assert len(told.splitlines()) == 3
    told = await run("org", "revoke", "studio", "eve@example.com")
    assert told == "Revoked the invitation of eve@example.com.\n"
    assert "no open invitation" in await run("org", "revoke", "studio", "x@y", fails=True)
    tokens = await read_mailed_tokens(api, key)
    assert "not found" in await run("org", "accept", tokens[0], fails=True)
    monkeypatch.setenv("DITS_TOKEN", bob)
    assert await run("org", "accept", tokens[0]) == "You are a member of studio: admin.\n"
    assert "open no more" in await run("org", "decline", tokens[0], fails=True)
    assert await run("org", "invitations") == ""


async def test_members_and_teams_from_the_command_line(
    api: Api, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = await use_tokens(api, "ada", "bob")
    monkeypatch.setenv("DITS_TOKEN", ada)
    await run("org", "create", "studio")
    await api.fetch(
        """INSERT INTO organization_members (org_id, user_id, role)
           SELECT o.id, u.id, 'admin' FROM organizations o, users u WHERE u.username = 'bob'"""
    )
    monkeypatch.setenv("DITS_TOKEN", bob)
    told = await run("team", "create", "studio/art", "--description", "x")
    assert told == "Created studio/art.\n"
    told = await run("team", "add", "studio/art", "ada", "--maintainer")
    assert told == "ada is maintainer of studio/art now.\n"
    assert await run("team", "add", "studio/art", "bob") == "bob is member of studio/art now.\n"
    assert await run("team", "update", "studio/art", "--name", "light") == "Changed studio/light.\n"
    told = await run("team", "list", "studio", "--mine")
    assert told == "NAME   YOUR ROLE  DESCRIPTION\nlight  member     x\n"
    told = await run("team", "members", "studio/light", "--json")
    assert [json.loads(line)["username"] for line in told.splitlines()] == ["ada", "bob"]
    told = await run("org", "members", "studio", "--role", "admin")
    assert re.fullmatch(r"USERNAME +ROLE +SINCE +NAME\nbob +admin +\S+ +bob\n", told)
    assert "needs the permission owner" in await run("org", "remove", "studio", "ada", fails=True)
    assert await run("team", "remove", "studio/light", "bob") == "Took bob out of studio/light.\n"
    assert await run("team", "delete", "studio/light") == "Deleted studio/light.\n"
    monkeypatch.setenv("DITS_TOKEN", ada)
    assert await run("org", "role", "studio", "bob", "billing") == "bob is billing now.\n"
    assert await run("org", "remove", "studio", "bob") == "Removed bob from studio.\n"
