"""`dits audit`: as lines, as JSON, filtered."""

from __future__ import annotations

import json

from tests.support.api import Api
from tests.support.client import Run


async def test_an_account_sees_what_it_did(run: Run, api: Api, logged_in: str) -> None:
    await run("repo", "create", "film")
    lines = (await run("audit")).splitlines()
    actions = [line.split("  ")[2] for line in lines]
    assert actions == [
        "repository.created",
        "session.ended",
        "token.created",
        "session.opened",
        "user.registered",
    ]
    assert lines[0].split("  ")[1:] == [logged_in, "repository.created", "film", "127.0.0.1"]
    assert lines[0][19:23] == " UTC"
    assert (await run("audit", "-n", "2")).splitlines() == lines[:2]
    assert (await run("audit", "--limit", "0")).splitlines() == lines
    token = await run("audit", "--action", "token.created")
    assert token.splitlines() == lines[2:3]
    assert "scopes=[" in token


async def test_json_of_a_repository_and_times(run: Run, api: Api, logged_in: str) -> None:
    await run("repo", "create", "film")
    [line] = (await run("audit", "--repository", "ada/film", "--json")).splitlines()
    event = json.loads(line)
    assert (event["action"], event["actor"]) == ("repository.created", "ada")
    assert "ip_address" not in event
    assert await run("audit", "--repository", "ada/film", "--to", "2020-01-01") == ""
    assert (
        await run("audit", "--repository", "ada/film", "--from", "2020-01-01T12:00", "--json")
        == line + "\n"
    )
    assert await run("audit", "--repository", "ada/film", "--actor", "nobody") == ""


async def test_refusals(run: Run, api: Api, logged_in: str) -> None:
    assert "not found" in await run("audit", "--organization", "absent", fails=True)
    assert "site:admin" in await run("audit", "--site", fails=True)
    assert "is not an action" in await run("audit", "--action", "x", fails=True)
