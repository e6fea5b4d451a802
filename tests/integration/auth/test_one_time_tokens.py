"""One-time tokens are good once, for their purpose, and not for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.auth.credentials.one_time_tokens import (
    LIFE,
    Purpose,
    SpentToken,
    issue_token,
    spend_sealed,
    spend_token,
    withdraw_tokens,
)
from shared.db.pool import Connection, Database
from tests.support.api import Account, Api


@pytest.fixture
async def database(api: Api) -> AsyncIterator[Database]:
    """A pool of the test's own."""
    pool = await Database.connect(api.dsn, service="test", size=4)
    yield pool
    await pool.close()


async def _issue(database: Database, account: Account, purpose: Purpose) -> str:
    async def issue(connection: Connection) -> str:
        issued = await issue_token(connection, purpose, account.id, email="ada@example.com")
        return issued.secret

    return await database.transaction(issue)


async def _spend(database: Database, purpose: Purpose, secret: str) -> SpentToken | None:
    async def spend(connection: Connection) -> SpentToken | None:
        return await spend_token(connection, purpose, secret)

    return await database.transaction(spend)


def test_every_purpose_has_a_life() -> None:
    assert set(LIFE) == set(Purpose)


async def test_a_token_is_spent_once(api: Api, database: Database) -> None:
    ada = await api.account()
    secret = await _issue(database, ada, Purpose.VERIFY_EMAIL)
    assert await _spend(database, Purpose.RESET_PASSWORD, secret) is None
    results = await asyncio.gather(
        *(_spend(database, Purpose.VERIFY_EMAIL, secret) for _ in range(4))
    )
    good = [spent for spent in results if spent is not None]
    assert good == [SpentToken(ada.id, {"email": "ada@example.com"})]
    assert secret not in str(await api.fetch("SELECT * FROM one_time_tokens"))


async def test_a_token_ends_by_itself_and_when_it_is_withdrawn(
    api: Api, database: Database
) -> None:
    ada, bob = await api.account(), await api.account()
    expired = await _issue(database, ada, Purpose.RESET_PASSWORD)
    await api.fetch("UPDATE one_time_tokens SET expires_at = now()")
    withdrawn = await _issue(database, ada, Purpose.RESET_PASSWORD)
    others = await _issue(database, bob, Purpose.RESET_PASSWORD)
    async with database.connection() as connection:
        await withdraw_tokens(connection, Purpose.RESET_PASSWORD, ada.id)
    assert await _spend(database, Purpose.RESET_PASSWORD, expired) is None
    assert await _spend(database, Purpose.RESET_PASSWORD, withdrawn) is None
    assert await _spend(database, Purpose.RESET_PASSWORD, others) is not None


async def test_what_was_sealed_is_spent_once(api: Api, database: Database) -> None:
    ada = await api.account()
    ahead = datetime.now(UTC) + timedelta(minutes=1)

    async def spend(connection: Connection) -> bool:
        return await spend_sealed(connection, Purpose.SSH_CHALLENGE, ada.id, "sealed", ahead)

    results = await asyncio.gather(*(database.transaction(spend) for _ in range(4)))
    assert sorted(results) == [False, False, False, True]
    async with database.connection() as connection:
        over = datetime.now(UTC) - timedelta(minutes=1)
        assert not await spend_sealed(connection, Purpose.SSH_CHALLENGE, ada.id, "other", over)
