"""TokenService: names and last uses of tokens, and reports of those that leaked."""

from __future__ import annotations

from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.token_service_pb2 import (
    ListTokensRequest,
    RenameTokenRequest,
    ReportLeakedTokenRequest,
    RevokeTokenRequest,
)
from grpc import StatusCode

from shared.formats import credentials
from tests.support.api import Api, refused
from tests.support.tokens import holder, mint


async def test_a_token_is_renamed(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    made = await mint(api, ada)
    request = RenameTokenRequest(token_id=made.token.id, name="render farm")
    for _ in range(2):
        renamed = await api.tokens.RenameToken(request, metadata=ada.auth)
        assert renamed.token.name == "render farm"
    assert await api.value("SELECT count(*) FROM audit_log WHERE action = 'token.renamed'") == 1
    listed = await api.tokens.ListTokens(ListTokensRequest(), metadata=ada.auth)
    assert [token.name for token in listed.tokens] == ["render farm"]
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.tokens.RenameToken(request, metadata=bob.auth)
    for bad in ({"token_id": "x"}, {"name": ""}, {"name": "x" * 256}):
        fields = {"token_id": made.token.id, "name": "x", **bad}
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await api.tokens.RenameToken(RenameTokenRequest(**fields), metadata=ada.auth)
    await api.tokens.RevokeToken(RevokeTokenRequest(token_id=made.token.id), metadata=ada.auth)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.tokens.RenameToken(request, metadata=ada.auth)


async def test_a_list_shows_the_last_use(api: Api) -> None:
    ada = await api.account()
    await mint(api, ada)
    await api.fetch("UPDATE api_tokens SET last_used_at = now(), last_used_ip = '198.51.100.7'")
    [token] = (await api.tokens.ListTokens(ListTokensRequest(), metadata=ada.auth)).tokens
    assert token.HasField("last_use_time")
    assert token.last_use_network == "198.51.100.0/24"


async def report(api: Api, secret: str) -> None:
    """Reports a secret, without a credential."""
    await api.tokens.ReportLeakedToken(ReportLeakedTokenRequest(secret=secret))


async def test_whoever_holds_a_secret_may_end_it(api: Api) -> None:
    ada = await api.account()
    await api.fetch("UPDATE users SET email_verified = true")
    above = await mint(api, ada)
    child = await mint(api, holder(ada, above))
    for _ in range(2):
        await report(api, above.secret)
    for made in (above, child):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await api.accounts.GetMe(GetMeRequest(), metadata=holder(ada, made).auth)
    await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
    told = await api.fetch(
        "SELECT type, mailed_at IS NOT NULL FROM notifications WHERE user_id = $1", ada.id
    )
    assert [tuple(row) for row in told] == [("token.reported", True)]
    rows = await api.fetch("SELECT actor_id FROM audit_log WHERE action = 'token.reported'")
    assert [row["actor_id"] for row in rows] == [ada.id]


async def test_a_leaked_session_is_ended_by_its_secret(api: Api) -> None:
    ada = await api.account()
    await report(api, ada.token)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
    assert await api.value("SELECT type FROM notifications") == "token.reported"


async def test_a_report_tells_nothing(api: Api) -> None:
    await report(api, credentials.mint(credentials.Kind.API_TOKEN))
    await report(api, credentials.mint(credentials.Kind.SESSION))
    assert await api.value("SELECT count(*) FROM audit_log") == 0
    for bad in ("", "x", "dits_pat_" + "0" * 36, "\0", "dits_pat_" * 1000):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await report(api, bad)
        assert not bad or bad not in refusal.message
