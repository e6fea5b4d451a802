"""Owners are told of API tokens that end soon."""

from __future__ import annotations

import pytest
from dits.common.v1.job_pb2 import NotifyExpiringTokensPayload

from services.auth.background.expiring_tokens import ExpiryNotifier
from shared.db.pool import Database
from shared.runtime.server_key import ServerKey
from tests.support.api import Api
from tests.support.jobs import do_job

KEY = ServerKey(bytes.fromhex("5e" * 32))


async def notify(api: Api) -> int:
    """Does the job, two tokens at a time; returns how many it has told of."""
    database = await Database.connect(api.dsn, service="test", size=2)
    row = await do_job(database, NotifyExpiringTokensPayload(), ExpiryNotifier(KEY, 2).handle)
    await database.close()
    assert row["status"] == "completed"
    return int(await api.value("SELECT count(*) FROM notifications WHERE type = 'token.expiring'"))


async def test_each_token_is_told_of_once(api: Api) -> None:
    ada = await api.account()
    await api.fetch("UPDATE users SET email_verified = true")
    for _ in range(5):
        await api.api_token(ada, "repo:read")
    await api.fetch(
        """UPDATE api_tokens
           SET created_at = now() - interval '1 day', expires_at = now() + interval '6 days 23 h'"""
    )
    assert await notify(api) == 5
    assert await notify(api) == 5
    title = await api.value("SELECT title FROM notifications LIMIT 1")
    assert title.startswith("Your API token test ends on ")
    assert await api.value("SELECT count(*) FROM jobs WHERE job_type = 'send_mail'") > 0


@pytest.mark.parametrize(
    "change",
    [
        "expires_at = now() + interval '8 days'",
        "expires_at = now() - interval '1 second'",
        "expires_at = NULL",
        "expires_at = now() + interval '1 day', created_at = now()",
        "expires_at = now() + interval '1 day', revoked_at = now()",
    ],
)
async def test_of_others_nobody_is_told(api: Api, change: str) -> None:
    """Those that last, have ended, or were made for a few days."""
    await api.api_token(await api.account(), "repo:read")
    await api.fetch("UPDATE api_tokens SET created_at = now() - interval '30 days'")
    await api.fetch(f"UPDATE api_tokens SET {change}")
    assert await notify(api) == 0
