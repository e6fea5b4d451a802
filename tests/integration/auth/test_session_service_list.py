"""SessionService: the list of sessions, and ending them."""

from __future__ import annotations

import uuid

import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.session_service_pb2 import (
    ListSessionsRequest,
    LoginRequest,
    RevokeAllSessionsRequest,
    RevokeSessionRequest,
    Session,
)
from grpc import StatusCode

from shared.formats.credentials import token_hash
from tests.support.accounts import PASSWORD, registration
from tests.support.api import Account, Api, refused


async def list_sessions(api: Api, who: Account, *, ended: bool = False) -> list[Session]:
    """Returns all sessions, from pages of two."""
    found: list[Session] = []
    request = ListSessionsRequest(page_size=2, include_ended=ended)
    while True:
        page = await api.sessions.ListSessions(request, metadata=who.auth)
        found += page.sessions
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def refuse_call(api: Api, who: Account) -> None:
    """Expects that the credential is good for nothing."""
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.accounts.GetMe(GetMeRequest(), metadata=who.auth)


async def test_a_session_shows_its_device_and_place(api: Api) -> None:
    await api.accounts.Register(registration())
    request = LoginRequest(login="ada", password=PASSWORD, device_name="Edit 3")
    login = (await api.sessions.Login(request)).session
    ada = Account(uuid.UUID(login.user_id), "Ada", login.token)
    await api.fetch("UPDATE sessions SET last_ip = '2001:db8:1:2:3::4'")
    [found] = await list_sessions(api, ada)
    assert (found.id, found.device_name, found.is_current) == (login.id, "Edit 3", True)
    assert (found.login_network, found.last_network) == ("127.0.0.0/24", "2001:db8:1:2::/64")
    assert found.user_agent.startswith("grpc-python")
    assert found.expire_time == login.expire_time
    assert found.is_live
    assert not found.HasField("revoke_time")
    assert login.token not in str(found)


async def test_pages_hold_each_session_once_and_only_ones_own(api: Api) -> None:
    ada, _ = await api.account(), await api.account()
    idle = [await api.session(ada) for _ in range(3)][1]
    await api.fetch(
        "UPDATE sessions SET last_active_at = now() - interval '31 min' WHERE token_hash = $1",
        token_hash(idle.token),
    )
    live = await list_sessions(api, ada)
    everything = await list_sessions(api, ada, ended=True)
    assert len({found.id for found in live}) == len(live) == 3
    assert len({found.id for found in everything}) == len(everything) == 4
    assert [found.is_live for found in everything].count(True) == 3


async def test_a_session_is_ended_from_another_one(api: Api) -> None:
    ada = await api.account()
    other = await api.session(ada)
    stolen = next(s for s in await list_sessions(api, ada) if not s.is_current)
    for _ in range(2):
        await api.sessions.RevokeSession(
            RevokeSessionRequest(session_id=stolen.id), metadata=ada.auth
        )
    await refuse_call(api, other)
    await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
    assert await api.value("SELECT count(*) FROM audit_log WHERE action = 'session.ended'") == 1
    ended = next(s for s in await list_sessions(api, ada, ended=True) if s.id == stolen.id)
    assert ended.HasField("revoke_time")
    assert not ended.is_live


@pytest.mark.parametrize(("keep", "left"), [(True, 1), (False, 0)])
async def test_all_sessions_are_ended_at_once(api: Api, keep: bool, left: int) -> None:
    ada, bob = await api.account(), await api.account()
    others = [await api.session(ada) for _ in range(3)]
    response = await api.sessions.RevokeAllSessions(
        RevokeAllSessionsRequest(keep_current=keep), metadata=ada.auth
    )
    assert response.revoked_count == 4 - left
    for other in others:
        await refuse_call(api, other)
    if keep:
        await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
    else:
        await refuse_call(api, ada)
    await api.accounts.GetMe(GetMeRequest(), metadata=bob.auth)
    rows = await api.value("SELECT count(*) FROM audit_log WHERE action = 'session.ended'")
    assert rows == 4 - left


async def test_who_may_end_sessions(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    [his] = await list_sessions(api, bob)
    reader = await api.api_token(ada, "user:read")
    writer = await api.api_token(ada, "user:write")
    await list_sessions(api, reader)
    for session_id in (his.id, str(uuid.uuid4())):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await api.sessions.RevokeSession(
                RevokeSessionRequest(session_id=session_id), metadata=ada.auth
            )
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.sessions.RevokeSession(RevokeSessionRequest(session_id="1"), metadata=ada.auth)
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await api.sessions.RevokeAllSessions(RevokeAllSessionsRequest(), metadata=reader.auth)
    await api.sessions.RevokeAllSessions(
        RevokeAllSessionsRequest(keep_current=True), metadata=writer.auth
    )
    await refuse_call(api, ada)
    await api.accounts.GetMe(GetMeRequest(), metadata=writer.auth)
