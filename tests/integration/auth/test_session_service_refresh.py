"""SessionService.RefreshSession: tokens are replaced, and what a replaced one is good for."""

from __future__ import annotations

import grpc
import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.session_service_pb2 import (
    IssuedSession,
    ListSessionsRequest,
    RefreshSessionRequest,
)
from dits.lock.v1.lock_service_pb2 import WatchRequest
from grpc import StatusCode

from shared.formats import credentials
from shared.rpc import admission
from tests.support.api import Account, Api, refused


async def refresh(api: Api, who: Account) -> IssuedSession:
    """Returns the session with its next token."""
    request = RefreshSessionRequest(session_token=who.token)
    return (await api.sessions.RefreshSession(request)).session


async def age(api: Api, minutes: float) -> None:
    """Makes all tokens older, those that were replaced too."""
    await api.fetch(
        "UPDATE sessions SET token_issued_at = token_issued_at - $1 * interval '1 min'", minutes
    )
    await api.fetch(
        "UPDATE former_session_tokens SET replaced_at = replaced_at - $1 * interval '1 min'",
        minutes,
    )


async def rotated(api: Api, who: Account) -> Account:
    """Returns the account with the token after its own, which is then as young as possible."""
    await age(api, 1)
    return Account(who.id, who.username, (await refresh(api, who)).token)


async def test_a_refresh_gives_another_token_of_the_same_session(api: Api) -> None:
    ada = await api.account()
    await api.fetch("UPDATE sessions SET last_active_at = now() - interval '29 min'")
    before = await api.fetch("SELECT id, expires_at FROM sessions")
    await age(api, 1)
    issued = await refresh(api, ada)
    assert credentials.well_formed(issued.token)
    assert issued.token != ada.token
    assert issued.user_id == str(ada.id)
    [row] = await api.fetch("SELECT id, expires_at FROM sessions")
    assert [row] == before
    active = "SELECT last_active_at > now() - interval '1 min' FROM sessions"
    assert await api.value(active) is True
    assert issued.id == str(row["id"])
    new = Account(ada.id, ada.username, issued.token)
    listed = await api.sessions.ListSessions(ListSessionsRequest(), metadata=new.auth)
    assert [session.is_current for session in listed.sessions] == [True]
    count = "SELECT count(*) FROM audit_log WHERE action = 'session.refreshed'"
    assert await api.value(count) == 1


async def test_a_young_token_is_returned_as_it_is(api: Api) -> None:
    ada = await api.account()
    assert (await refresh(api, ada)).token == ada.token
    new = await rotated(api, ada)
    # Those who refresh at once, and those who lost an answer, come to the same token.
    for who in (ada, new, ada):
        assert (await refresh(api, who)).token == new.token
    assert await api.value("SELECT count(*) FROM former_session_tokens") == 1


async def test_a_replaced_token_that_comes_back_ends_the_session(api: Api) -> None:
    ada = await api.account()
    other = await api.session(ada)
    new = await rotated(api, ada)
    newest = await rotated(api, new)
    await age(api, 0.5)
    for _ in range(2):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await refresh(api, ada)
    for who in (ada, new, newest):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await api.accounts.GetMe(GetMeRequest(), metadata=who.auth)
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await refresh(api, who)
    await api.accounts.GetMe(GetMeRequest(), metadata=other.auth)
    told = await api.fetch("SELECT type, mailed_at IS NOT NULL AS mailed FROM notifications")
    assert [row["type"] for row in told] == ["session.replayed"]
    rows = "SELECT count(*) FROM audit_log WHERE action = 'session.replayed' AND actor_id = $1"
    assert await api.value(rows, ada.id) == 1


async def test_a_stolen_session_is_mailed(api: Api) -> None:
    ada = await api.account()
    await api.fetch("UPDATE users SET email_verified = true")
    await rotated(api, ada)
    await age(api, 1)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await refresh(api, ada)
    assert await api.value("SELECT count(*) FROM jobs WHERE job_type = 'send_mail'") == 1


@pytest.mark.parametrize(
    "ending",
    [
        "UPDATE sessions SET expires_at = now()",
        "UPDATE sessions SET last_active_at = now() - interval '31 min'",
        "UPDATE sessions SET revoked_at = now()",
        "UPDATE users SET status = 'suspended'",
    ],
)
async def test_a_session_that_has_ended_is_not_refreshed(api: Api, ending: str) -> None:
    ada = await api.account()
    new = await rotated(api, ada)
    await age(api, 1)
    await api.fetch(ending)
    for who in (new, ada):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await refresh(api, who)
    assert await api.value("SELECT count(*) FROM notifications") == 0


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "INVALID_FIELD"),
        ("x" * 256, "INVALID_FIELD"),
        ("a\nb", "INVALID_FIELD"),
        ("dits_ses_x", "UNAUTHENTICATED"),
    ],
)
async def test_what_is_no_token(api: Api, token: str, reason: str) -> None:
    code = StatusCode.INVALID_ARGUMENT if reason == "INVALID_FIELD" else StatusCode.UNAUTHENTICATED
    with refused(code, reason):
        await api.sessions.RefreshSession(RefreshSessionRequest(session_token=token))


async def test_a_token_of_no_session_is_not_refreshed(api: Api) -> None:
    ada = await api.account()
    unknown = Account(ada.id, ada.username, credentials.mint(credentials.Kind.SESSION))
    for who in (unknown, await api.api_token(ada, "user:write")):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await refresh(api, who)


async def test_a_replaced_token_lets_calls_in_for_half_an_hour(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And streams that it has opened go on after that; as does everything with the new one."""
    monkeypatch.setattr(admission, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(admission, "CHECK_SECONDS", 0.05)
    ada = await api.account()
    repository = await api.repository(ada)
    new = await rotated(api, ada)
    await age(api, 29)
    await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
    watch = api.locks.Watch(WatchRequest(repository=repository.id), metadata=ada.auth)
    await watch.read()
    await age(api, 2)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
    checks = "SELECT count(*) FROM locks"
    for _ in range(5):
        await api.value(checks)
    assert not watch.done()
    await api.fetch("UPDATE sessions SET revoked_at = now()")
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        while await watch.read() is not grpc.aio.EOF:
            pass
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.accounts.GetMe(GetMeRequest(), metadata=new.auth)
