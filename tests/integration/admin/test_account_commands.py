"""`dits-server admin`: accounts as their operator sees them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dits.auth.v1.account_service_pb2 import USER_STATUS_PENDING_VERIFICATION
from grpc import StatusCode

from shared.runtime.config import Settings
from tests.integration.test_server_command import run
from tests.support.accounts import registration
from tests.support.api import Api, refused
from tests.support.mailed_links import NEW, log_in, read_me, reset, verify
from tests.support.mfa import Guarded
from tests.support.organizations import Studio, accept


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"verified_logins": True})


class Operator:
    """Whoever runs the server."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._folder = folder
        self._environment = {"DITS_DATABASE_URL": api.dsn, "DITS_SERVER_KEY": "5e" * 32}

    def run(self, *arguments: str) -> str:
        """What a command prints; fails if it fails."""
        done = run("admin", *arguments, cwd=self._folder, **self._environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def fail(self, *arguments: str) -> str:
        """What a command says that fails."""
        done = run("admin", *arguments, cwd=self._folder, **self._environment)
        assert done.returncode == 1
        return done.stderr.strip()


@pytest.fixture
def operator(api: Api, tmp_path: Path) -> Operator:
    return Operator(api, tmp_path)


def read_token(line: str) -> str:
    start, _, token = line.partition("  # until ")[0].rpartition(" --token ")
    # A newcomer has no login that says where the server is.
    assert re.fullmatch(r"dits account reset-password --server 127\.0\.0\.1:\d+", start)
    return token


async def audited(api: Api) -> list[str]:
    rows = await api.fetch(
        """SELECT action FROM audit_log WHERE actor_type = 'system' AND action <> 'session.ended'
           ORDER BY "timestamp", action"""
    )
    return [row["action"] for row in rows]


async def test_an_operator_opens_accounts_and_has_passwords_set(
    api: Api, operator: Operator
) -> None:
    token = read_token(operator.run("create-user", "Ada", "ada@example.com", "--verified"))
    query = "SELECT expires_at - created_at AS life FROM one_time_tokens"
    assert await api.value(query) == timedelta(days=7)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await log_in(api, "ada")
    await reset(api, token, "a first long secret")
    ada = await log_in(api, "ada", "a first long secret")
    assert (await read_me(api, ada)).email_verified
    token = read_token(operator.run("reset-password", "ADA"))
    # Neither a session nor the password is good until there is another one.
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await read_me(api, ada)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await log_in(api, "ada", "a first long secret")
    await reset(api, token, NEW)
    await log_in(api, "ada", NEW)
    guarded = await Guarded.make(api, "bob")
    unfinished = await guarded.begin()
    operator.run("reset-password", "bob")
    await guarded.fail(unfinished)
    assert "'ada' is taken" in operator.fail("create-user", "ada", "other@example.com")
    assert "not found" in operator.fail("reset-password", "nobody")
    assert await audited(api) == ["user.registered", *["password.reset_required"] * 2]


async def test_an_operator_bars_accounts_and_lets_them_back_in(
    api: Api, operator: Operator
) -> None:
    await api.account("ada")
    end = datetime.now(UTC) + timedelta(days=1)
    operator.run("suspend", "ada", "--reason", "it is a test", "--until", f"{end:%Y-%m-%dT%H:%M}")
    [row] = await api.fetch("SELECT status, status_reason, status_until FROM users")
    assert (row["status"], row["status_reason"]) == ("suspended", "it is a test")
    assert abs(row["status_until"] - end) < timedelta(minutes=1)
    operator.run("reinstate", "ada")
    assert await api.value("SELECT status FROM users") == "active"
    told = operator.fail("suspend", "ada", "--reason", "x", "--until", "soon")
    assert told == "dits-server: 'soon' is no time such as 2026-12-31T18:00."
    assert "must be in the future" in operator.fail(
        "suspend", "ada", "--reason", "x", "--until", "2020-01-01"
    )
    assert await audited(api) == ["user.suspended", "user.reinstated"]


async def test_without_a_mail_server_an_operator_passes_links_on(
    api: Api, operator: Operator
) -> None:
    await api.accounts.Register(registration(username="ada", email="ada@example.com"))
    assert await api.value("SELECT status FROM users") == "pending_verification"
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await log_in(api, "ada")
    studio = await Studio.open(api)
    await studio.invite(studio.people["owner"], "ada@example.com")
    line = operator.run("list-links", "ADA")
    assert line.startswith("verify_email  ada  ada@example.com  /verify-email/")
    links = [json.loads(each) for each in operator.run("list-links", "--json").splitlines()]
    assert [link["purpose"] for link in links] == ["verify_email", "invitation"]
    await verify(api, links[0]["token"])
    ada = await log_in(api, "ada")
    await accept(api, ada, token=links[1]["token"])
    assert operator.run("list-links") == operator.run("list-links", "ada") == ""
    assert operator.run("list-links", "ada@EXAMPLE.com") == ""
    assert "'adam' not found" in operator.fail("list-links", "adam")
    assert await audited(api) == ["link.shown"] * 3
    assert links[0]["token"] not in str(await api.fetch("SELECT * FROM audit_log"))


async def test_links_take_the_key_of_the_services(api: Api, tmp_path: Path) -> None:
    told = run("admin", "list-links", cwd=tmp_path, DITS_DATABASE_URL=api.dsn)
    assert told.returncode == 1
    assert "set DITS_SERVER_KEY or DITS_DATA_DIR" in told.stderr
    assert not (tmp_path / ".dits-data").exists()


async def test_a_new_account_waits_for_its_address(api: Api) -> None:
    answer = await api.accounts.Register(registration())
    assert answer.user.status == USER_STATUS_PENDING_VERIFICATION
