"""Suspended accounts: refused everywhere, until somebody lifts it or its time is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from grpc import StatusCode

from services.auth import server
from services.auth.accounts.statuses import end_suspensions, reinstate_account, suspend_account
from shared.db.pool import Database
from shared.errors import DomainError
from shared.runtime.server_key import ServerKey
from tests.support.api import Api, refused
from tests.support.mailed_links import log_in, read_mails, read_me, register
from tests.support.notifications import until as wait_until

pytestmark = pytest.mark.usefixtures("watchful_service")
OVER = "UPDATE users SET status_until = clock_timestamp() WHERE username = 'ada'"


@pytest.fixture
def watchful_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the service look for suspensions that are over ten times a second."""
    monkeypatch.setattr(server, "CHECK_SECONDS", 0.1)


@pytest.fixture
async def database(api: Api) -> AsyncIterator[Database]:
    pool = await Database.connect(api.dsn, service="test", size=2)
    yield pool
    await pool.close()


async def test_a_suspension_refuses_every_credential_and_ends_by_itself(
    api: Api, key: ServerKey, database: Database
) -> None:
    ada = await register(api)
    token = await api.api_token(ada, "user:read")
    end = datetime.now(UTC) + timedelta(days=1)
    await database.transaction(
        partial(suspend_account, key=key, username="ADA", reason="it is a test", until=end)
    )
    for who in (ada, token):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await read_me(api, who)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED") as refusal:
        await log_in(api, "ada")
    assert "suspended" not in refusal.message
    [(_, values)] = await read_mails(api, key, "account_suspended")
    assert values["reason"] == "it is a test"
    await end_suspensions(database)
    assert await api.value("SELECT status FROM users WHERE username = 'ada'") == "suspended"
    await api.fetch(OVER)
    # The service looks by itself.
    await wait_until(api, "SELECT status = 'active' FROM users WHERE username = 'ada'")
    await log_in(api, "ada")
    await read_me(api, token)
    # Sessions of before stay ended.
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await read_me(api, ada)
    [row] = await api.fetch("SELECT status_reason, status_until FROM users")
    assert set(row.values()) == {None}
    rows = await api.fetch(
        "SELECT actor_type, action FROM audit_log WHERE action LIKE 'user.%' ORDER BY timestamp"
    )
    assert [tuple(row) for row in rows[1:]] == [
        ("system", "user.suspended"),
        ("system", "user.reinstated"),
    ]


async def test_a_suspension_without_an_end_lasts_until_it_is_lifted(
    api: Api, key: ServerKey, database: Database
) -> None:
    await register(api)
    suspend = partial(suspend_account, key=key, username="ada", reason="a test", until=None)
    await database.transaction(suspend)
    await end_suspensions(database)
    assert await api.value("SELECT status FROM users") == "suspended"
    await database.transaction(partial(reinstate_account, username="Ada"))
    await log_in(api, "ada")
    for username in ("ada", "nobody"):
        with pytest.raises(DomainError, match="not found"):
            await database.transaction(partial(reinstate_account, username=username))


@pytest.mark.parametrize(
    ("before", "meanwhile", "after"),
    [
        ("pending_verification", "", "pending_verification"),
        ("pending_verification", "UPDATE users SET email_verified = true", "active"),
        ("active", "", "active"),
    ],
)
async def test_a_suspension_gives_no_verification(
    api: Api, key: ServerKey, database: Database, before: str, meanwhile: str, after: str
) -> None:
    await api.account("ada")
    suspend = partial(suspend_account, key=key, username="ada", reason="a test")
    for is_over in (False, True):
        await api.fetch("UPDATE users SET status = $1, email_verified = false", before)
        # The second one only gives it another end.
        for days in (1, 2):
            end = datetime.now(UTC) + timedelta(days=days)
            await database.transaction(partial(suspend, until=end))
        if meanwhile:
            await api.fetch(meanwhile)
        if is_over:
            await api.fetch(OVER)
            await wait_until(api, "SELECT status <> 'suspended' FROM users")
        else:
            await database.transaction(partial(reinstate_account, username="ada"))
        [row] = await api.fetch("SELECT status, status_before FROM users")
        assert tuple(row) == (after, None)


@pytest.mark.parametrize(
    ("username", "reason", "hours", "sentence"),
    [
        ("nobody", "x", 1, "'nobody' not found"),
        ("a b", "x", 1, "username: must have"),
        ("ada", "", 1, "reason: must have 1 to 500"),
        ("ada", "a\nb", 1, "reason: must not contain"),
        ("ada", "x", -1, "until: must be in the future"),
    ],
)
async def test_what_is_no_suspension(
    dsn: str, key: ServerKey, username: str, reason: str, hours: int, sentence: str
) -> None:
    database = await Database.connect(dsn, service="test", size=1)
    end = datetime.now(UTC) + timedelta(hours=hours)
    with pytest.raises(DomainError, match=sentence):
        await database.transaction(
            partial(suspend_account, key=key, username=username, reason=reason, until=end)
        )
    await database.close()
