"""Request ids belong to the caller that used them: a session counts as its user, a token as itself."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from dits.auth.v1.access_service_pb2 import WhoAmIRequest
from dits.auth.v1.account_service_pb2 import DeleteAccountRequest
from dits.auth.v1.organization_service_pb2 import LeaveOrganizationRequest
from dits.auth.v1.session_service_pb2 import (
    LogoutRequest,
    RevokeAllSessionsRequest,
    RevokeSessionRequest,
)
from dits.auth.v1.token_service_pb2 import CreateTokenRequest, RevokeTokenRequest
from dits.repo.v1.commit_service_pb2 import PushResponse
from dits.repo.v1.webhook_service_pb2 import CreateWebhookRequest, ListWebhooksRequest
from grpc import StatusCode

from services.auth.credentials.challenges import Challenges
from shared.formats.commits import commit_hash
from shared.records.idempotency import IdempotentWrites
from tests.support.api import Api, refused
from tests.support.organizations import Studio
from tests.support.repositories import Holding
from tests.support.ssh import make_key, needs_ssh
from tests.support.ssh_accounts import key_request
from tests.support.trees import build, commit, push, update, upload


async def test_a_token_does_not_get_what_a_session_was_given(api: Api) -> None:
    ada = await api.account()
    request = CreateTokenRequest(request_id=str(uuid4()), name="ci", scopes=["user:write"])
    first = await api.tokens.CreateToken(request, metadata=ada.auth)
    one, two = [await api.api_token(ada, "user:write") for _ in range(2)]
    other = await api.tokens.CreateToken(request, metadata=one.auth)
    assert other.secret != first.secret
    assert await api.tokens.CreateToken(request, metadata=one.auth) == other
    assert (await api.tokens.CreateToken(request, metadata=two.auth)).secret not in (
        first.secret,
        other.secret,
    )


async def test_a_repetition_after_a_new_login_is_one(api: Api) -> None:
    ada = await api.account()
    request = CreateTokenRequest(request_id=str(uuid4()), name="ci", scopes=["user:write"])
    first = await api.tokens.CreateToken(request, metadata=ada.auth)
    again = await api.session(ada)
    assert await api.tokens.CreateToken(request, metadata=again.auth) == first


async def test_a_repetition_does_not_look_at_what_has_gone_since(api: Api) -> None:
    films = await Holding.open(api, "films")
    request = CreateTokenRequest(
        request_id=str(uuid4()),
        name="ci",
        scopes=["repo:read"],
        repositories=[f"{films.owner.username}/films"],
    )
    first = await api.tokens.CreateToken(request, metadata=films.owner.auth)
    await films.delete()
    assert await api.tokens.CreateToken(request, metadata=films.owner.auth) == first
    request.name = "other"
    with refused(StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await api.tokens.CreateToken(request, metadata=films.owner.auth)
    request.request_id = str(uuid4())
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.tokens.CreateToken(request, metadata=films.owner.auth)


@needs_ssh
async def test_a_key_is_added_once_though_its_challenge_can_be_read_no_more(api: Api) -> None:
    """As when the server's key was replaced, and the one before it forgotten."""
    ada = await api.account()
    request = await key_request(api, ada, make_key("ed25519"))
    request.request_id = str(uuid4())
    first = await api.keys.AddSshKey(request, metadata=ada.auth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Challenges, "open", lambda *_: None)
        assert await api.keys.AddSshKey(request, metadata=ada.auth) == first


async def test_a_repetition_beside_the_first_call_gets_its_result(api: Api) -> None:
    """It has found no result yet; when it goes on, the first call has ended and the repository has gone."""
    films = await Holding.open(api, "films")
    request = CreateTokenRequest(
        request_id=str(uuid4()), name="ci", scopes=["repo:read"], repositories=[films.id]
    )
    looked, goes_on = asyncio.Event(), asyncio.Event()
    look = IdempotentWrites._find_result

    async def look_and_wait(*arguments: Any) -> Any:
        found = await look(*arguments)
        if not looked.is_set():
            looked.set()
            await goes_on.wait()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IdempotentWrites, "_find_result", look_and_wait)
        second = asyncio.ensure_future(api.tokens.CreateToken(request, metadata=films.owner.auth))
        await looked.wait()
        first = await api.tokens.CreateToken(request, metadata=films.owner.auth)
        await films.delete()
        goes_on.set()
        assert await second == first


async def test_who_has_left_an_organisation_may_repeat_the_call(api: Api) -> None:
    studio = await Studio.open(api)
    bob = await studio.join("member")
    request = LeaveOrganizationRequest(organization=studio.id, request_id=str(uuid4()))
    first = await api.organizations.LeaveOrganization(request, metadata=bob.auth)
    assert await api.organizations.LeaveOrganization(request, metadata=bob.auth) == first
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        request.request_id = str(uuid4())
        await api.organizations.LeaveOrganization(request, metadata=bob.auth)


@pytest.mark.parametrize(
    "how", ["Logout", "RevokeSession", "RevokeAllSessions", "DeleteAccount", "RevokeToken"]
)
async def test_a_credential_that_has_ended_itself_repeats_nothing(api: Api, how: str) -> None:
    ada = await api.account()
    who = await api.api_token(ada, "user:read") if how == "RevokeToken" else ada
    own_id = (await api.access.WhoAmI(WhoAmIRequest(), metadata=who.auth)).caller.credential_id
    calls: dict[str, tuple[Any, Any]] = {
        "Logout": (api.sessions.Logout, LogoutRequest()),
        "RevokeSession": (api.sessions.RevokeSession, RevokeSessionRequest(session_id=own_id)),
        "RevokeAllSessions": (api.sessions.RevokeAllSessions, RevokeAllSessionsRequest()),
        "DeleteAccount": (api.accounts.DeleteAccount, DeleteAccountRequest(username=ada.username)),
        "RevokeToken": (api.tokens.RevokeToken, RevokeTokenRequest(token_id=own_id)),
    }
    call, request = calls[how]
    await call(request, metadata=who.auth)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await call(request, metadata=who.auth)


async def test_a_repetition_is_refused_after_the_change_of_another_and_goes_on_after_the_next(
    api: Api,
) -> None:
    """What the first call has done stays, and the refusal does not deny it."""
    films, helper = await Holding.open(api), await api.account()
    await api.grant(films.repository, helper, "admin")
    request = CreateWebhookRequest(
        repository=films.id, url="https://ci.example/", events=["*"], request_id=str(uuid4())
    )
    first = await api.webhooks.CreateWebhook(request, metadata=helper.auth)
    tree = build({"a": b"1"})
    await upload(api, helper, films.repository, tree.chunks)
    made, request_id = commit(tree), str(uuid4())

    async def push_it() -> PushResponse:
        moves = [update("main", "", commit_hash(made))]
        return await push(
            api, helper, films.repository, [made], moves, [tree], request_id=request_id
        )

    pushed = await push_it()
    await films.update(archived=True)
    with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
        await push_it()
    await films.update(archived=False)
    await api.grant(films.repository, helper, "read")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await push_it()
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await api.webhooks.CreateWebhook(request, metadata=helper.auth)
    await api.grant(films.repository, helper, "admin")
    assert await push_it() == pushed
    assert await api.webhooks.CreateWebhook(request, metadata=helper.auth) == first
    listed = await api.webhooks.ListWebhooks(
        ListWebhooksRequest(repository=films.id), metadata=films.owner.auth
    )
    # Its first delivery, which nobody receives, may have been tried meanwhile.
    assert [each.id for each in listed.webhooks] == [first.webhook.id]
