"""Request ids belong to the caller that used them: a session counts as its user, a token as itself."""

from __future__ import annotations

from uuid import uuid4

from dits.auth.v1.token_service_pb2 import CreateTokenRequest

from tests.support.api import Api


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
