"""`dits token`, and what organisations see of it."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.api import Api
from tests.support.client import Run


async def test_tokens_from_the_command_line(api: Api, run: Run, logged_in: str) -> None:
    await run("repo", "create", "film")
    secret = await run(
        "token", "create", "render", "--scope", "repo:read", "--scope", "lock:write",
        "--repository", "ada/film", "--days", "10",
    )  # fmt: skip
    assert secret.startswith("dits_pat_")
    listed = [json.loads(line) for line in (await run("token", "list", "--json")).splitlines()]
    assert listed[0]["name"] == "render"
    table = (await run("token", "list")).splitlines()
    assert " ".join(table[0].split()) == "ID NAME SCOPES REPOSITORIES ENDS USED FROM REFUSED BY"
    assert re.search(r"render +lock:write repo:read +1 +\d{4}-", table[1])
    assert await run("token", "rename", "render", "farm") == "render is called farm now.\n"
    assert 'no token "render"' in await run("token", "revoke", "render", fails=True)
    assert await run("token", "revoke", "farm") == "farm was ended.\n"
    assert "farm" not in await run("token", "list")
    made = json.loads(await run("token", "create", "x", "--scope", "repo:read", "--json"))
    assert made["secret"].startswith("dits_pat_")
    assert "not a scope" in await run("token", "create", "x", "--scope", "all", fails=True)


async def test_a_found_token_is_reported(
    api: Api, run: Run, logged_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await api.account("bob")
    leaked = await api.api_token(bob, "repo:read")
    monkeypatch.setattr("dits_client.cli.token.read_secret", lambda _: leaked.token)
    assert "it works no more" in await run("token", "report")
    assert await api.value("SELECT type FROM notifications") == "token.reported"
    monkeypatch.setattr("dits_client.cli.token.read_secret", lambda _: "x")
    assert "secret" in await run("token", "report", fails=True)


async def test_an_organisation_rules_over_tokens(api: Api, run: Run, logged_in: str) -> None:
    await run("org", "create", "studio")
    await run("repo", "create", "studio/film")
    assert await run("org", "token-policy", "studio") == (
        "days      any\nscopes    all\napproval  off\n"
    )
    told = await run(
        "org", "token-policy", "studio", "--days", "100", "--scope", "repo:write",
        "--scope", "webhook:write", "--approval", "on",
    )  # fmt: skip
    assert told == (
        "days      100\nscopes    lock:write repo:read repo:write webhook:read webhook:write\n"
        "approval  on\n"
    )
    # The login's own token waits.
    told = await run("clone", "studio/film", fails=True)
    assert "studio does not let this API token in: nobody has approved it yet" in told
    [line] = (await run("org", "tokens", "studio", "--status", "pending", "--json")).splitlines()
    token = json.loads(line)["id"]
    assert await run("org", "approve-token", "studio", token) == "Approved.\n"
    assert "approved" in await run("org", "tokens", "studio")
    assert "does not let" not in await run("clone", "studio/film")
    assert await run("org", "reject-token", "studio", token) == "Rejected.\n"
    assert "it was rejected" in await run("clone", "studio/film", "again", fails=True)
    told = await run(
        "org", "token-policy", "studio", "--days", "0", "--scope", "all", "--approval", "off"
    )
    assert told == "days      any\nscopes    all\napproval  off\n"
    assert "0 to 366" in await run("org", "token-policy", "studio", "--days", "367", fails=True)
