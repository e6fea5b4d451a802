"""Each security change has one audit row, in its transaction: repetitions and refusals have none."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from dits.auth.v1.session_service_pb2 import LoginRequest, LogoutRequest
from dits.auth.v1.token_service_pb2 import CreateTokenRequest, RevokeTokenRequest
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest
from google.protobuf.field_mask_pb2 import FieldMask

from tests.support.accounts import PASSWORD, registration
from tests.support.api import Account, Api
from tests.support.locks import Studio
from tests.support.webhooks import DISTANT, Hooks


async def written(api: Api) -> list[tuple[str, str | None]]:
    """Action and actor of all rows, in the order of their times."""
    rows = await api.fetch(
        """SELECT a.action, u.username FROM audit_log a LEFT JOIN users u ON u.id = a.actor_id
           ORDER BY a."timestamp" """
    )
    return [(row["action"], row["username"]) for row in rows]


async def refuse(*calls: Awaitable[Any]) -> None:
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError):
            await call


async def test_accounts_sessions_and_tokens(api: Api) -> None:
    request = registration()
    request.request_id = str(uuid.uuid4())
    for _ in range(2):
        await api.accounts.Register(request)
    await refuse(
        api.accounts.Register(registration(email="other@example.com")),
        api.sessions.Login(LoginRequest(login="ada", password="wrong")),
    )
    assert await written(api) == [("user.registered", "Ada")]

    login = await api.sessions.Login(LoginRequest(login="ada", password=PASSWORD))
    ada = Account(uuid.UUID(login.session.user_id), "Ada", login.session.token)
    token = CreateTokenRequest(request_id=str(uuid.uuid4()), name="ci", scopes=["user:read"])
    made = [await api.tokens.CreateToken(token, metadata=ada.auth) for _ in range(2)]
    limited = Account(ada.id, "Ada", made[0].secret)
    wrong = CreateTokenRequest(name="ci", scopes=["site:admin"])
    await refuse(
        api.tokens.CreateToken(wrong, metadata=ada.auth),
        api.tokens.CreateToken(token, metadata=limited.auth),
        api.tokens.RevokeToken(RevokeTokenRequest(token_id=str(uuid.uuid4())), metadata=ada.auth),
    )
    for _ in range(2):
        revoke = RevokeTokenRequest(token_id=made[0].token.id)
        await api.tokens.RevokeToken(revoke, metadata=ada.auth)
    await api.sessions.Logout(LogoutRequest(), metadata=ada.auth)
    await refuse(api.sessions.Logout(LogoutRequest(), metadata=ada.auth))
    assert (await written(api))[1:] == [
        (action, "Ada")
        for action in ("session.opened", "token.created", "token.revoked", "session.ended")
    ]


async def test_a_session_that_a_login_ends_has_its_row(api: Api) -> None:
    await api.accounts.Register(registration())
    sessions = [
        (await api.sessions.Login(LoginRequest(login="ada", password=PASSWORD))).session
        for _ in range(6)
    ]
    [ended] = await api.fetch("SELECT * FROM audit_log WHERE action = 'session.ended'")
    assert ended["resource_id"] == sessions[0].id
    assert str(ended["actor_id"]) == sessions[0].user_id
    assert sessions[-1].id in ended["details"]


async def test_repositories(api: Api) -> None:
    ada = await api.account("ada")
    await api.account("bob")
    request = CreateRepositoryRequest(request_id=str(uuid.uuid4()), name="film")
    for _ in range(2):
        await api.repositories.CreateRepository(request, metadata=ada.auth)
    for name, owner in (("film", ""), ("cut", "bob"), ("a b", "")):
        request = CreateRepositoryRequest(name=name, owner=owner)
        await refuse(api.repositories.CreateRepository(request, metadata=ada.auth))
    assert await written(api) == [("repository.created", "ada")]


async def test_webhooks(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    bob = await api.account()
    before = len(await written(api))
    webhook = await hooks.create(request_id=str(uuid.uuid4()))
    named = {"webhook_id": webhook.id}
    await refuse(
        hooks.call("CreateWebhook", url="http://192.0.2.1/", events=["*"]),
        hooks.call_as(bob, "CreateWebhook", url=DISTANT, events=["*"]),
        hooks.call_as(bob, "DeleteWebhook", **named),
    )
    off = {"active": False, "update_mask": FieldMask(paths=["active"])}
    await hooks.call("UpdateWebhook", **named, **off)
    await hooks.call("RotateSecret", **named)
    await hooks.call("DeleteWebhook", **named)
    assert (await written(api))[before:] == [
        (f"webhook.{action}", hooks.who.username)
        for action in ("created", "updated", "secret_rotated", "deleted")
    ]


async def test_locks_that_are_taken_from_others(api: Api) -> None:
    studio = await Studio.open(api)
    before = len(await written(api))
    a, b, c = [await studio.take(studio.bob, path) for path in "abc"]
    await studio.take(studio.ada, "a", reason="bob is away", steal_lock_ids=[a.id])
    await studio.force(studio.ada, b, "enough")
    # What a holder gives away by themselves is no change of rights.
    given = (await studio.transfer(studio.bob, c, studio.cyn)).lock
    await studio.transfer(studio.ada, given, studio.bob)
    d = await studio.take(studio.bob, "d")
    await refuse(
        studio.acquire(studio.cyn, "d", reason="now", steal_lock_ids=[d.id]),
        studio.force(studio.cyn, d, "mine"),
        studio.transfer(studio.cyn, d, studio.dan),
    )
    assert (await written(api))[before:] == [
        ("lock.stolen", studio.ada.username),
        ("lock.force_released", studio.ada.username),
        ("lock.transferred", studio.ada.username),
    ]
