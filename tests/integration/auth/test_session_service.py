"""SessionService: logging in and out, and how sessions end."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.session_service_pb2 import LoginRequest, LogoutRequest
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from services.auth.background import credential_uses
from tests.support.accounts import PASSWORD, registration
from tests.support.api import Api, refused
from tests.support.mfa import give_password
from tests.support.statements import StatementLog
from tests.support.waiting import PATIENCE_SECONDS

NOTED = credential_uses.Q.note_failures


async def test_wrong_logins_look_alike(api: Api) -> None:
    await api.accounts.Register(registration())
    await api.accounts.Register(registration(username="sue", email="sue@example.com"))
    await api.fetch("UPDATE users SET status = 'suspended' WHERE username = 'sue'")
    told = []
    for login, password in (("ada", "wrong"), ("nobody", PASSWORD), ("sue", PASSWORD)):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED") as refusal:
            await api.sessions.Login(LoginRequest(login=login, password=password))
        told.append((refusal.message, refusal.metadata, len(refusal.details)))
    assert len(set(map(str, told))) == 1


async def test_a_wrong_login_asks_the_database_the_same_for_all(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement more for those who exist would show in the time of the answer."""
    for name in ("ada", "sue"):
        await give_password(api, await api.account(name))
    await api.fetch("UPDATE users SET status = 'suspended' WHERE username = 'sue'")
    asked = []
    for login, password in (("ada", "wrong"), ("nobody", PASSWORD), ("sue", PASSWORD)):
        with monkeypatch.context() as patch:
            log = StatementLog(patch)
            with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
                await api.sessions.Login(LoginRequest(login=login, password=password))
            # What is stored in the background is stored for several calls at once.
            asked.append([text for text in log.texts("user_credentials") if text != NOTED])
    assert asked[0] == asked[1] == asked[2]
    assert len(asked[0]) == 1


async def test_a_login_is_throttled_from_its_network_only(api: Api) -> None:
    ada = await api.account("ada")
    await api.fetch(
        """INSERT INTO login_throttles (bucket, failures) VALUES ('login ada from 127.0.0.0/24', 9)"""
    )
    attempt = LoginRequest(login="ada", password="wrong")
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.sessions.Login(attempt)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED") as refusal:
        await api.sessions.Login(attempt)
    assert 0 < refusal.detail(RetryInfo).retry_delay.seconds <= 60
    # The victim's live session goes on, and other logins from there work.
    assert (await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)).user.username == "ada"
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.sessions.Login(LoginRequest(login="someone", password="wrong"))


async def test_a_sixth_session_ends_the_least_recently_used(api: Api) -> None:
    ada = await api.account("ada")
    await api.fetch(
        """INSERT INTO user_credentials (user_id, password_hash, password_salt)
           SELECT $1, password_hash, password_salt FROM user_credentials LIMIT 0""",
        ada.id,
    )
    await api.accounts.Register(registration(username="bob", email="bob@example.com"))
    logins = [
        (await api.sessions.Login(LoginRequest(login="bob", password=PASSWORD))).session
        for _ in range(6)
    ]
    live = await api.fetch("SELECT id FROM sessions WHERE revoked_at IS NULL AND user_id = $1::uuid",
                           logins[0].user_id)  # fmt: skip
    assert {str(row["id"]) for row in live} == {login.id for login in logins[1:]}


async def test_logout_ends_the_session_everywhere(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    get = GetRepositoryRequest(repository=repository.id)
    await api.repositories.GetRepository(get, metadata=ada.auth)
    await api.sessions.Logout(LogoutRequest(), metadata=ada.auth)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)

    async def until_refused() -> None:
        while True:
            try:
                await api.repositories.GetRepository(get, metadata=ada.auth)
            except grpc.aio.AioRpcError as error:
                assert error.code() is StatusCode.UNAUTHENTICATED
                return
            await asyncio.sleep(0.01)

    await asyncio.wait_for(until_refused(), PATIENCE_SECONDS)


async def test_an_api_token_cannot_log_out(api: Api) -> None:
    ada = await api.account()
    machine = await api.api_token(ada, "repo:read")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.sessions.Logout(LogoutRequest(), metadata=machine.auth)


@pytest.mark.parametrize("state", ["expired", "idle", "revoked", "suspended"])
async def test_a_dead_session_is_refused(api: Api, state: str) -> None:
    ada = await api.account()
    await api.fetch(
        {
            "expired": "UPDATE sessions SET expires_at = now() WHERE user_id = $1",
            "idle": "UPDATE sessions SET last_active_at = now() - interval '31 min' WHERE user_id = $1",
            "revoked": "UPDATE sessions SET revoked_at = now() WHERE user_id = $1",
            "suspended": "UPDATE users SET status = 'suspended' WHERE id = $1",
        }[state],
        ada.id,
    )
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
