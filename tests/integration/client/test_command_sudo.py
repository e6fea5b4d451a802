"""`dits sudo`, `dits account mfa`, and the commands that need a proof of who the user is."""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import Callable

import asyncpg
import pytest

from services.auth.credentials import totp
from services.auth.credentials.second_factors import secret_context
from shared.runtime.server_key import ServerKey
from tests.support.api import Account, Api
from tests.support.client import PASSWORD, Run
from tests.support.ssh import make_key, needs_ssh

KEY = ServerKey(bytes.fromhex("5e" * 32))


class Typist(io.StringIO):
    """A standard input on which somebody types when asked."""

    def __init__(self, *answers: Callable[[], str]) -> None:
        super().__init__()
        self._answers = list(answers)

    def readline(self, *_: object) -> str:  # type: ignore[override]
        """Returns the next answer; an empty line after the last."""
        return self._answers.pop(0)() + "\n" if self._answers else ""


# Beside them stands what the server's log writes meanwhile.
CODES = re.compile(r"^\w{4}(?:-\w{4}){3}$", re.MULTILINE)


def read_code(dsn: str, later: int = 0) -> str:
    """Returns what the only authenticator shows, from a thread of its own."""

    async def read() -> str:
        connection = await asyncpg.connect(dsn)
        [row] = await connection.fetch(
            """SELECT user_id, coalesce(mfa_pending_encrypted, mfa_secret_encrypted) AS sealed
               FROM user_credentials"""
        )
        await connection.close()
        secret = KEY.unseal(row["sealed"], secret_context(row["user_id"]))
        assert secret is not None
        return totp.make_code(secret, int(time.time() // 30) + later)

    return asyncio.run(read())


@pytest.fixture
async def account(api: Api, logged_in: str) -> Account:
    """The account of the login, with a session that has no sudo."""
    rows = await api.fetch("SELECT id FROM users WHERE username = $1", logged_in)
    return await api.session(Account(rows[0]["id"], logged_in, ""), sudo=False)


async def test_one_proof_for_many_commands(
    api: Api, run: Run, logged_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "sudo as ada until " in await run("sudo")
    monkeypatch.setenv("DITS_PASSWORD", "wrong password 123")
    await run("org", "create", "studio")
    await run("org", "delete", "studio")
    open_sessions = "SELECT count(*) FROM sessions WHERE revoked_at IS NULL"
    assert await api.value(open_sessions) == 1
    # When its ten minutes are over, the same session gets sudo again.
    await api.fetch("UPDATE sessions SET sudo_until = NULL")
    assert "wrong username or password" in await run("org", "create", "studio", fails=True)
    assert "does not prove who you are" in await run("sudo", fails=True)
    monkeypatch.setenv("DITS_PASSWORD", PASSWORD)
    await run("sudo")
    assert await api.value(open_sessions) == 1
    await run("sudo", "--end")
    assert await api.value(open_sessions) == 0
    await run("sudo")
    await run("logout")
    assert await api.value(open_sessions) == 0
    assert logged_in == "ada"


async def test_a_call_that_needs_sudo_asks_once_and_is_repeated(
    api: Api, run: Run, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("org", "create", "studio")
    monkeypatch.setenv("DITS_TOKEN", account.token)
    monkeypatch.delenv("DITS_PASSWORD")
    told = await run("org", "delete", "studio", fails=True)
    assert "run `dits sudo` in a terminal" in told
    monkeypatch.setenv("DITS_PASSWORD", PASSWORD)
    await run("org", "delete", "studio")
    elevated = "SELECT count(*) FROM audit_log WHERE action = 'session.elevated'"
    assert await api.value(elevated) == 1
    assert "sudo until" in await run("whoami")
    # What an API token may do is up to who made it.
    token = await api.api_token(account, "org:admin")
    monkeypatch.setenv("DITS_TOKEN", token.token)
    await run("org", "create", "other")
    assert "only if the operator made it" in await run("org", "delete", "other", fails=True)


async def test_a_second_factor_on_the_command_line(
    api: Api, run: Run, logged_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "need no code" in await run("account", "mfa", "status")
    monkeypatch.setattr("sys.stdin", Typist(lambda: read_code(api.dsn)))
    codes = CODES.findall(await run("account", "mfa", "enroll"))
    assert len(codes) == 10
    assert "codes left: 10." in await run("account", "mfa", "status")
    await api.fetch("UPDATE user_credentials SET mfa_last_step = 0")
    monkeypatch.setattr("sys.stdin", Typist())
    assert "no code was given" in await run("login", "-u", logged_in, fails=True)
    monkeypatch.setattr("sys.stdin", Typist(lambda: "1234567"))
    assert "the code must have 6 digits" in await run("login", "-u", logged_in, fails=True)
    monkeypatch.setattr("sys.stdin", Typist(lambda: read_code(api.dsn)))
    assert "as ada." in await run("login", "-u", logged_in)
    monkeypatch.setattr("sys.stdin", Typist(lambda: read_code(api.dsn)))
    assert "wrong code" in await run("login", "-u", logged_in, fails=True)
    monkeypatch.setattr("sys.stdin", Typist(lambda: codes[0].upper()))
    assert "sudo as ada until " in await run("sudo")
    made = CODES.findall(await run("account", "mfa", "recovery-codes"))
    assert len({*made, *codes}) == 20
    # The session has lost it: a code gives it again, and a password would not.
    await api.fetch("UPDATE sessions SET sudo_until = NULL")
    monkeypatch.setattr("sys.stdin", Typist(lambda: read_code(api.dsn, 1)))
    assert "sudo as ada until " in await run("sudo")
    await run("account", "mfa", "disable")
    assert "need no code" in await run("account", "mfa", "status")


@needs_ssh
async def test_sudo_with_an_ssh_key(api: Api, run: Run, logged_in: str) -> None:
    key = str(make_key("ed25519"))
    await run("ssh-key", "add", key)
    assert (await run("sudo", "--key", key)).startswith(f"sudo as {logged_in} until ")
    await api.fetch("UPDATE sessions SET sudo_until = NULL")
    assert (await run("sudo", "--key", key)).startswith(f"sudo as {logged_in} until ")
    methods = "SELECT details ->> 'method' FROM audit_log WHERE action = 'session.elevated'"
    assert await api.value(methods) == "ssh_key"
