"""`dits notifications` against running services."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from dits.auth.v1.notification_service_pb2 import Preferences

from dits_client.cli.parser import make_parser
from services.auth.mail.unsubscribe import write_token
from shared.runtime.server_key import ServerKey
from tests.integration.auth.test_notification_service import fill
from tests.support.api import Account, Api
from tests.support.client import Run, write


async def ada_of(api: Api) -> Account:
    """The user who has logged in with the command."""
    return Account(await api.value("SELECT id FROM users WHERE username = 'ada'"), "ada", "")


async def test_notifications_are_listed_and_marked(run: Run, api: Api, logged_in: str) -> None:
    ada = await ada_of(api)
    assert await run("notifications") == ""
    ids = await fill(api, ada, 3, "a \x1b[31m\n\nb")
    lines = (await run("notifications", "-n", "2")).splitlines()
    assert [line.split("  ")[0] for line in lines[::3]] == [f"* {ids[2][:8]}", f"* {ids[1][:8]}"]
    assert [line.strip() for line in lines[1:3]] == ["a \\x1b[31m", "b"]
    assert await run("notifications", "read", ids[0], ids[2]) == ""
    [line] = (await run("notifications", "list", "--unread", "--json")).splitlines()
    assert (json.loads(line)["id"], json.loads(line)["title"]) == (ids[1], "2")
    assert await run("notifications", "read", ids[1][:8]) == ""
    assert await run("notifications", "--unread") == ""
    told = await run("notifications", "read", "zz", fails=True)
    assert told == 'dits: no notification begins with "zz"\n'
    await fill(api, ada, 2)
    await run("notifications", "read-all")
    assert await run("notifications", "--unread") == ""


async def test_what_comes_is_printed(run: Run, api: Api, logged_in: str) -> None:
    ada = await ada_of(api)
    watching = asyncio.ensure_future(run("notifications", "--watch", "-n", "1"))
    while not watching.done():
        await fill(api, ada, 1)
    assert (await watching).startswith("* ")


async def test_preferences_are_shown_and_changed(run: Run, api: Api, logged_in: str) -> None:
    shown = dict(line.split() for line in (await run("notifications", "preferences")).splitlines())
    assert shown == {
        "mention": "on",
        "push": "off",
        "lock-expiry": "on",
        "lock-loss": "on",
        "webhook-disabled": "on",
        "security": "on",
        "digest": "daily",
    }
    options = ("--push", "on", "--lock-loss", "off", "--digest", "weekly")
    told = await run("notifications", "preferences", *options)
    changed = shown | {"push": "on", "lock-loss": "off", "digest": "weekly"}
    assert dict(line.split() for line in told.splitlines()) == changed
    key = ServerKey(bytes.fromhex("5e" * 32))
    token = write_token(key, (await ada_of(api)).id, "digest")
    assert await run("notifications", "unsubscribe", token) == "digest is off\n"
    assert "digest            never" in await run("notifications", "preferences")
    assert "was not issued by this server" in await run(
        "notifications", "unsubscribe", "x", fails=True
    )


async def test_branches_are_followed(run: Run, api: Api, film_folder: Path) -> None:
    bob = await api.account("bob")
    assert await run("notifications", "follow", "main") == "following main of ada/film\n"
    told = await run("notifications", "follow", "dev", "--repository", "ada/film")
    assert told == (
        "following dev of ada/film\nThere is no such branch yet: ada/film has no branch dev\n"
    )
    assert await run("notifications", "following") == "ada/film  dev\nada/film  main\n"
    write(film_folder, {"a": b"2"})
    await run("push", "-m", "mine")
    assert await run("notifications") == ""
    told = await run("notifications", "unfollow", "main")
    assert told == "no longer following main of ada/film\n"
    assert await run("notifications", "following") == "ada/film  dev\n"
    assert "is not a valid name" in await run("notifications", "follow", "a..b", fails=True)
    await api.repository(bob, "secret")
    told = await run("notifications", "follow", "x", "--repository", "bob/secret", fails=True)
    assert "bob/secret" in told


def test_each_preference_has_an_option() -> None:
    parsed = make_parser().parse_args(["notifications", "preferences"])
    for field in Preferences.DESCRIPTOR.fields_by_name:
        assert hasattr(parsed, field.removeprefix("email_on_"))
