"""Refreshes of one session at the same moment, and beside what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.session_service_pb2 import (
    ElevateRequest,
    LoginRequest,
    RefreshSessionRequest,
    RevokeAllSessionsRequest,
)
from grpc import StatusCode

from tests.support.accounts import PASSWORD, registration
from tests.support.api import Account, Api, refused
from tests.support.rivals import together
from tests.support.waiting import until_blocked

LIVE = "SELECT count(*) FROM sessions WHERE user_id = $1 AND revoked_at IS NULL"


@asynccontextmanager
async def held(api: Api, row: str) -> AsyncIterator[asyncpg.Connection]:
    """Holds a row until the end of the context; yields a connection that sees who waits."""
    holder, watcher = await asyncpg.connect(api.dsn), await asyncpg.connect(api.dsn)
    try:
        async with holder.transaction():
            await holder.execute(f"SELECT FROM {row} FOR UPDATE")
            yield watcher
    finally:
        await holder.close()
        await watcher.close()


def refresh(api: Api, who: Account) -> asyncio.Future[str]:
    """Starts a refresh; returns the future of the next token."""

    async def ask() -> str:
        request = RefreshSessionRequest(session_token=who.token)
        return (await api.sessions.RefreshSession(request)).session.token

    return asyncio.ensure_future(ask())


async def make_old(api: Api) -> None:
    await api.fetch(
        """WITH s AS (UPDATE sessions SET token_issued_at = token_issued_at - interval '1 min')
           UPDATE former_session_tokens SET replaced_at = replaced_at - interval '1 min'"""
    )


async def test_two_who_refresh_at_once_come_to_the_same_token(api: Api) -> None:
    """Both have found the session by its token when the first replaces it."""
    ada = await api.account()
    await make_old(api)
    async with held(api, "sessions") as watcher:
        first = refresh(api, ada)
        await until_blocked(watcher)
        second = refresh(api, ada)
        await until_blocked(watcher, 2)
    assert await first == await second != ada.token
    # One after the other, in the other order: the same.
    assert await refresh(api, ada) == await first
    assert await api.value(LIVE, ada.id) == 1
    assert await api.value("SELECT count(*) FROM former_session_tokens") == 1


async def test_many_refresh_at_once(api: Api) -> None:
    ada = await api.account()
    await make_old(api)
    tokens = await asyncio.gather(*(refresh(api, ada) for _ in range(20)))
    assert len(set(tokens)) == 1
    assert await api.value(LIVE, ada.id) == 1


@pytest.mark.parametrize("replay_first", [True, False])
async def test_a_replay_ends_what_a_refresh_beside_it_returns(api: Api, replay_first: bool) -> None:
    ada = await api.account()
    await make_old(api)
    new = Account(ada.id, ada.username, await refresh(api, ada))
    await make_old(api)
    order = [ada, new] if replay_first else [new, ada]
    async with held(api, "sessions") as watcher:
        calls = []
        for place, who in enumerate(order, 1):
            calls.append(refresh(api, who))
            await until_blocked(watcher, place)
    succeeded, reasons = await together(*calls)
    assert succeeded == (0 if replay_first else 1)
    assert set(reasons) == {"UNAUTHENTICATED"}
    assert await api.value(LIVE, ada.id) == 0
    assert await api.value("SELECT count(*) FROM notifications") == 1


@pytest.mark.parametrize("refresh_first", [True, False])
async def test_a_revocation_ends_what_a_refresh_beside_it_returns(
    api: Api, refresh_first: bool
) -> None:
    ada = await api.account()
    other = await api.session(ada)
    await make_old(api)

    async def revoke() -> None:
        request = RevokeAllSessionsRequest(keep_current=True)
        await api.sessions.RevokeAllSessions(request, metadata=other.auth)

    async with held(api, "sessions") as watcher:
        calls: list[asyncio.Future[object]] = []
        for place in (1, 2):
            starts_refresh = refresh_first == (place == 1)
            calls.append(refresh(api, ada) if starts_refresh else asyncio.ensure_future(revoke()))  # type: ignore[arg-type]
            await until_blocked(watcher, place)
    succeeded, _ = await together(*calls)
    assert succeeded == (2 if refresh_first else 1)
    assert await api.value(LIVE, ada.id) == 1
    if refresh_first:
        new = Account(ada.id, ada.username, str(calls[0].result()))
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await api.accounts.GetMe(GetMeRequest(), metadata=new.auth)


@pytest.mark.parametrize("login_first", [True, False])
async def test_a_login_beside_the_end_of_all_sessions(api: Api, login_first: bool) -> None:
    """One that came before is ended, one that comes after is not."""
    await api.accounts.Register(registration())
    user_id = await api.value("SELECT id FROM users")
    ada = await api.session(Account(user_id, "Ada", ""))
    login = LoginRequest(login="ada", password=PASSWORD)
    async with held(api, "users") as watcher:
        calls = []
        for place in (1, 2):
            starts_login = login_first == (place == 1)
            request = RevokeAllSessionsRequest()
            calls.append(
                asyncio.ensure_future(
                    api.sessions.Login(login)
                    if starts_login
                    else api.sessions.RevokeAllSessions(request, metadata=ada.auth)
                )
            )
            await until_blocked(watcher, place)
    assert (await together(*calls))[0] == 2
    assert await api.value(LIVE, user_id) == (0 if login_first else 1)


async def test_logins_at_once_leave_five_sessions(api: Api) -> None:
    await api.accounts.Register(registration())
    login = LoginRequest(login="ada", password=PASSWORD, device_name="Edit 3")
    user_id = await api.value("SELECT id FROM users")
    for _ in range(4):
        await api.session(Account(user_id, "Ada", ""))
    assert await together(*(api.sessions.Login(login) for _ in range(4))) == (4, [])
    assert await api.value(LIVE, user_id) == 5
    told = await api.fetch("SELECT type, title FROM notifications")
    assert [row["type"] for row in told] == ["session.evicted"] * 3


@pytest.mark.parametrize("change", ["password", "end"])
async def test_a_password_that_ends_while_it_is_judged_gives_no_sudo(api: Api, change: str) -> None:
    await api.accounts.Register(registration())
    ada = Account(
        await api.value("SELECT id FROM users"),
        "ada",
        (await api.sessions.Login(LoginRequest(login="ada", password=PASSWORD))).session.token,
    )
    await api.fetch("UPDATE sessions SET sudo_until = NULL")
    to = {
        "password": "password_hash = 'other'",
        "end": "force_password_change = TRUE",
    }[change]
    async with held(api, "users") as watcher:
        request = ElevateRequest(password=PASSWORD)
        waiting = asyncio.ensure_future(api.sessions.Elevate(request, metadata=ada.auth))
        await until_blocked(watcher)
        await api.fetch(f"UPDATE user_credentials SET {to}")
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await waiting
    assert await api.value("SELECT sudo_until FROM sessions") is None
