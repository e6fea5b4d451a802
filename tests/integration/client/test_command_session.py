"""`dits login --session` and `dits session`; a session lives as long as it is used."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.session_service_pb2 import ElevateRequest

from dits_client.cli.credentials import Credentials, Login
from dits_client.cli.stored_session import StoredSession, open_client
from dits_client.errors import ClientError, RemoteError
from dits_client.server import credential
from dits_client.server.client import Client
from tests.support.api import Api
from tests.support.client import Proxy, Run
from tests.support.waiting import PATIENCE_SECONDS

OLD = "UPDATE sessions SET token_issued_at = token_issued_at - interval '1 hour'"


@pytest.fixture
async def in_session(run: Run) -> Login:
    """The stored login of a session."""
    await run("login", "--register", "-u", "ada", "--email", "ada@example.org", "--session")
    return stored()


def stored() -> Login:
    found = Credentials().get()
    assert found is not None
    return found


def forget_age(login: Login) -> None:
    """Makes the stored token an old one."""
    file = Credentials().path
    kept = json.loads(file.read_text())
    (each,) = kept["logins"]
    each["session_time"] = 0
    file.write_text(json.dumps(kept))


async def age(api: Api, login: Login) -> None:
    """Makes the token an old one, for the server and for the client."""
    await api.fetch(OLD)
    await api.fetch(
        "UPDATE former_session_tokens SET replaced_at = replaced_at - interval '1 hour'"
    )
    forget_age(login)


async def test_sessions_from_the_command_line(api: Api, run: Run, in_session: Login) -> None:
    assert in_session.token.startswith("dits_ses_")
    assert "\nsession, until " in await run("whoami")
    await api.session(await api.account("bob"))
    await api.fetch("UPDATE sessions SET user_id = (SELECT id FROM users WHERE username = 'ada')")
    listed = [json.loads(line) for line in (await run("session", "list", "--json")).splitlines()]
    assert len(listed) == 3
    table = (await run("session", "list")).splitlines()
    assert table[0].split() == ["ID", "DEVICE", "FROM", "OPENED", "USED", "ENDS"]
    assert [" * " in line for line in table[1:]].count(True) == 1
    foreign = next(each["id"] for each in listed if not each.get("is_current"))
    assert await run("session", "revoke", foreign) == "Ended: 1 session.\n"
    assert "say --all" in await run("session", "revoke", fails=2)
    told = await run("session", "revoke", "--all", "--keep-current")
    assert told == "Ended: 1 session.\n"
    assert "(ended)" in await run("session", "list", "--all")
    assert "Logged out" in await run("logout")
    assert await api.value("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == 0


async def test_an_old_token_is_replaced_before_the_first_call(
    api: Api, run: Run, in_session: Login
) -> None:
    await run("whoami")
    assert stored().token == in_session.token
    await age(api, in_session)
    await run("whoami")
    assert stored().token != in_session.token
    assert stored().session_id == in_session.session_id
    assert await api.value("SELECT count(*) FROM former_session_tokens") == 1


async def test_commands_at_once_refresh_the_same_session(
    api: Api, in_session: Login, run: Run
) -> None:
    await age(api, in_session)

    def ask() -> str:
        with open_client(in_session) as client:
            metadata: Any = client.metadata
            return str(metadata)

    tokens = await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(4)))
    assert len(set(tokens)) == 1
    await run("whoami")
    assert await api.value("SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL") == 0


async def test_a_program_takes_the_token_that_another_one_got(api: Api, in_session: Login) -> None:
    """When its own has been replaced for too long, and nobody takes that for a theft."""
    from dits.auth.v1.account_service_pb2 import GetMeRequest

    def call(client: Client) -> None:
        client.call(client.accounts.GetMe, GetMeRequest())

    with open_client(in_session) as first:
        await asyncio.to_thread(call, first)
        await age(api, in_session)
        with open_client(in_session) as second:
            await asyncio.to_thread(call, second)
        await age(api, in_session)
        await asyncio.to_thread(call, first)
    assert await api.value("SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL") == 0


@pytest.mark.parametrize(
    "ending",
    ["revoked_at = now()", "last_active_at = now() - interval '31 min'", "expires_at = now()"],
)
async def test_a_session_that_has_ended_is_said_to(
    api: Api, run: Run, in_session: Login, ending: str
) -> None:
    await api.fetch(f"UPDATE sessions SET {ending}")
    for _ in range(2):
        told = await run("session", "list", fails=True)
        server = in_session.endpoints.name
        assert f"your session has ended: log in again (`dits login --session {server}`)" in told
        forget_age(in_session)


async def test_a_program_that_makes_no_calls_keeps_its_session(
    api: Api, in_session: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential, "KEEP_ALIVE_SECONDS", 0.05)
    tasks = api.suite._servers["auth"]._background.tasks
    [store] = [task for task in tasks if task.name == "store uses of credentials"]
    with open_client(in_session) as client:
        await asyncio.to_thread(lambda: client.metadata)
        await api.fetch("UPDATE sessions SET last_active_at = now() - interval '29 min'")
        fresh = "SELECT last_active_at > now() - interval '1 min' FROM sessions"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await api.value(fresh):
                await store.work()


async def test_a_session_is_kept_although_its_service_starts_again(
    api: Api, in_session: Login
) -> None:
    with Proxy(api.addresses["auth"]) as proxy:
        endpoints = replace(in_session.endpoints, auth=proxy.address)
        with Client(endpoints, session=StoredSession(in_session)) as client:
            await asyncio.to_thread(client.call, client.accounts.GetMe, GetMeRequest())
            proxy.budgets = [1, 1]
            await asyncio.to_thread(client._touch_session, client.metadata)
        assert proxy.breaks == 2


async def test_a_login_that_is_gone_is_not_brought_back(
    in_session: Login, home: Path, run: Run
) -> None:
    """By a program that still runs when the user logs out, or in anew."""
    store = StoredSession(in_session)
    with open_client(in_session) as client:
        await asyncio.to_thread(lambda: client.metadata)
        await run("logout")
        store.save(credential.SessionToken("dits_ses_x", 0.0))
        assert Credentials().get() is None
        with pytest.raises(ClientError, match="your session has ended"):
            client.credential.renew(credential.make_metadata(in_session.token))


async def test_a_wrong_password_in_a_request_counts_once(api: Api, in_session: Login) -> None:
    """It is wrong under each token: the session is not renewed, and the request not repeated."""
    before = stored()
    request = ElevateRequest(password="not the password")
    with open_client(in_session) as client, pytest.raises(RemoteError) as refusal:
        await asyncio.to_thread(client.call, client.sessions.Elevate, request)
    assert refusal.value.code == "UNAUTHENTICATED"
    assert refusal.value.metadata == {"refused": "request"}
    rows = await api.fetch("SELECT failures FROM login_throttles WHERE bucket LIKE 'sudo %'")
    assert [row["failures"] for row in rows] == [1]
    assert stored() == before
