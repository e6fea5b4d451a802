"""The command that manages webhooks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.client import PASSWORD, Run
from tests.support.receivers import HttpReceiver, answer
from tests.support.webhooks import is_genuine

ID = r"[0-9a-f-]{36}"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_allow": ("127.0.0.1",)})


async def test_webhooks_from_the_command_line(api: Api, run: Run, film_folder: Path) -> None:
    async with HttpReceiver(answer(200, b"fine\x1b[31m\nthanks")) as receiver:
        told = await run(
            "webhook", "create", receiver.url, "--event", "branch.*", "--event", "push"
        )
        made = re.fullmatch(
            rf"Created ({ID})\.\nIts secret, which is not shown again: (dits_whs_\S+)\n", told
        )
        assert made is not None
        webhook, secret = made.groups()
        assert (
            await run("webhook", "list") == f"{webhook}  on        {receiver.url}  branch.*,push\n"
        )
        told = await run("webhook", "ping", webhook)
        assert re.fullmatch(r"The receiver answered 200 after \d\.\d\d s\.\n", told)
        assert is_genuine(receiver.requests[0].headers, receiver.requests[0].body, secret)
        told = await run("webhook", "deliveries", webhook)
        listed = re.fullmatch(
            rf"({ID})  \S+ \S+ UTC  webhook.ping          succeeded  attempts: 1  HTTP 200\n", told
        )
        assert listed is not None
        told = await run("webhook", "delivery", listed[1])
        assert re.fullmatch(
            rf"webhook\.ping  {ID}\n\{{.*\}}\n1  \S+ \S+ UTC  \d\.\d\d s  HTTP 200\n"
            "   fine\N{REPLACEMENT CHARACTER}\\[31m\n   thanks\n",
            told,
        )
        assert re.fullmatch(
            rf"Sending it again: {ID}\.\n", await run("webhook", "redeliver", listed[1])
        )
        await receiver.wait_for(2)


async def test_changes_from_the_command_line(api: Api, run: Run, film_folder: Path) -> None:
    async with HttpReceiver(answer(500)) as receiver:
        told = await run("webhook", "create", receiver.url, "--event", "push", "--inactive")
        webhook = told.split()[1].rstrip(".")
        told = await run("webhook", "rotate", webhook, "--overlap", "2d")
        assert re.fullmatch(
            r"The secret before stays valid until \S+ \S+ UTC\.\nThe new secret, .*: dits_whs_\S+\n",
            told,
        )
        told = await run("webhook", "ping", webhook, fails=True)
        assert told == "dits: The receiver answered 500.\n"
    told = await run("webhook", "update", webhook, "--off", "--url", "https://ci.example/")
    assert told == f"Changed {webhook}.\n"
    told = await run("webhook", "show", webhook)
    assert "url      https://ci.example/\nevents   push\nstate    off\n" in told
    assert "secrets  two until " in told
    assert "failing  since " in told
    assert "nothing to change" in await run("webhook", "update", webhook, fails=2)
    told = await run("webhook", "create", "https://127.0.0.2/", fails=True)
    assert told == "dits: the url must not name an address that is not public\n"
    assert await run("webhook", "delete", webhook) == f"Deleted {webhook}.\n"
    assert await run("webhook", "list") == ""


async def test_webhooks_of_an_organisation(
    api: Api, run: Run, logged_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.fetch(
        """WITH o AS (
               INSERT INTO organizations (name, display_name) VALUES ('pixar', 'Pixar') RETURNING id
           )
           INSERT INTO organization_members (org_id, user_id, role)
           SELECT o.id, u.id, 'owner' FROM o, users u"""
    )
    monkeypatch.setenv("DITS_PASSWORD", "wrong password 123")
    arguments = ("webhook", "create", "https://ci.example/", "--organization", "pixar")
    assert await run(*arguments, fails=True) == "dits: wrong username or password\n"
    monkeypatch.setenv("DITS_PASSWORD", PASSWORD)
    assert (await run(*arguments)).startswith("Created ")
    told = await run("webhook", "list", "--organization", "pixar")
    assert told.endswith("  on        https://ci.example/  *\n")
