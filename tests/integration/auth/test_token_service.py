"""TokenService: API tokens of the caller."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.session_service_pb2 import LogoutRequest
from dits.auth.v1.token_service_pb2 import (
    CreateTokenRequest,
    ListTokensRequest,
    RevokeTokenRequest,
)
from dits.repo.v1.repository_service_pb2 import ListRepositoriesRequest
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from shared.formats import credentials
from tests.support.api import Account, Api, refused
from tests.support.tokens import holder, mint
from tests.support.waiting import PATIENCE_SECONDS


async def test_api_tokens_come_and_go(api: Api) -> None:
    ada = await api.account()
    request = CreateTokenRequest(
        request_id=str(uuid.uuid4()), name="ci", scopes=["repo:write", "user:read"]
    )
    first = await api.tokens.CreateToken(request, metadata=ada.auth)
    again = await api.tokens.CreateToken(request, metadata=ada.auth)
    assert first == again
    assert credentials.well_formed(first.secret)
    machine = Account(ada.id, ada.username, first.secret)
    assert (await api.accounts.GetMe(GetMeRequest(), metadata=machine.auth)).user.id == str(ada.id)
    listed = await api.tokens.ListTokens(ListTokensRequest(), metadata=ada.auth)
    assert [token.id for token in listed.tokens] == [first.token.id]
    revoke = RevokeTokenRequest(token_id=first.token.id)
    await api.tokens.RevokeToken(revoke, metadata=ada.auth)
    await api.tokens.RevokeToken(revoke, metadata=ada.auth)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.accounts.GetMe(GetMeRequest(), metadata=machine.auth)
    assert await api.value("SELECT count(*) FROM audit_log WHERE action = 'token.revoked'") == 1


async def test_an_account_has_so_many_live_tokens(api: Api) -> None:
    ada = await api.account()
    machine = await api.api_token(ada, "user:write")
    await api.fetch(
        """INSERT INTO api_tokens (user_id, name, token_hash, scopes, expires_at, revoked_at)
           SELECT $1, 'x', n::text, '{}',
                  now() + CASE WHEN n <= 498 THEN interval '1 day' ELSE '-1 day' END,
                  CASE WHEN n > 550 THEN now() END
           FROM generate_series(1, 600) n""",
        ada.id,
    )
    await mint(api, ada)
    for who in (ada, machine):
        with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"):
            await mint(api, who)
    await mint(api, await api.account())


async def test_token_pages_hold_each_token_once(api: Api) -> None:
    ada = await api.account()
    for _ in range(5):
        await api.api_token(ada, "user:read")
    seen, page_token = [], ""
    while True:
        page = await api.tokens.ListTokens(
            ListTokensRequest(page_size=2, page_token=page_token), metadata=ada.auth
        )
        seen += [token.id for token in page.tokens]
        page_token = page.next_page_token
        if not page_token:
            break
    assert len(seen) == len(set(seen)) == 5


@pytest.mark.parametrize("forged", ["x", "AAAA", "é", "A" * 400])
async def test_page_tokens_cannot_be_forged(api: Api, forged: str) -> None:
    ada = await api.account()
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await api.tokens.ListTokens(ListTokensRequest(page_token=forged), metadata=ada.auth)


async def test_a_page_token_belongs_to_its_caller(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    await api.api_token(ada, "user:read")
    await api.api_token(ada, "user:read")
    page = await api.tokens.ListTokens(ListTokensRequest(page_size=1), metadata=ada.auth)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await api.tokens.ListTokens(
            ListTokensRequest(page_token=page.next_page_token), metadata=bob.auth
        )


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("scopes", {"scopes": []}),
        ("scopes", {"scopes": ["repo:everything"]}),
        ("scopes", {"scopes": ["site:admin"]}),
        ("name", {"name": ""}),
        ("expire_time", {"expire_time": datetime.now(UTC) + timedelta(days=400)}),
        ("expire_time", {"expire_time": datetime(2001, 1, 1, tzinfo=UTC)}),
    ],
)
async def test_tokens_are_held_to_the_rules(
    api: Api, field: str, change: dict[str, object]
) -> None:
    ada = await api.account()
    fields = {"name": "x", "scopes": ["repo:read"], **change}
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await api.tokens.CreateToken(CreateTokenRequest(**fields), metadata=ada.auth)  # type: ignore[arg-type]
    assert refusal.detail(BadRequest).field_violations[0].field == field


async def test_a_token_mints_no_broader_token(api: Api) -> None:
    ada = await api.account()
    narrow = await api.api_token(ada, "user:write", "repo:read")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
        await api.tokens.CreateToken(
            CreateTokenRequest(name="x", scopes=["repo:write"]), metadata=narrow.auth
        )
    assert refusal.metadata == {"required": "repo:write"}


async def test_another_users_token_is_not_found(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    made = await api.tokens.CreateToken(
        CreateTokenRequest(name="x", scopes=["repo:read"]), metadata=ada.auth
    )
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.tokens.RevokeToken(RevokeTokenRequest(token_id=made.token.id), metadata=bob.auth)


async def test_a_token_may_revoke_itself_and_no_other(api: Api) -> None:
    ada = await api.account()
    one, two = [
        await api.tokens.CreateToken(
            CreateTokenRequest(name="x", scopes=["repo:read"]), metadata=ada.auth
        )
        for _ in range(2)
    ]
    machine = Account(ada.id, ada.username, one.secret)
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await api.tokens.RevokeToken(
            RevokeTokenRequest(token_id=two.token.id), metadata=machine.auth
        )
    await api.tokens.RevokeToken(RevokeTokenRequest(token_id=one.token.id), metadata=machine.auth)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.repositories.ListRepositories(ListRepositoriesRequest(), metadata=machine.auth)


async def test_a_minted_token_expires_with_its_parent_at_the_latest(api: Api) -> None:
    ada = await api.account()
    end = datetime.now(UTC) + timedelta(minutes=5)
    parent = await mint(api, ada, expire_time=end)
    child = await mint(api, holder(ada, parent))
    assert child.token.expire_time.ToDatetime(UTC) == end
    earlier = end - timedelta(minutes=1)
    child = await mint(api, holder(ada, parent), expire_time=earlier)
    assert child.token.expire_time.ToDatetime(UTC) == earlier
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await mint(api, holder(ada, parent), expire_time=end + timedelta(days=300))
    assert refusal.detail(BadRequest).field_violations[0].field == "expire_time"


@pytest.mark.parametrize("ending", ["revoked_at = now()", "expires_at = now()"])
async def test_minted_tokens_end_with_the_token_above_them(api: Api, ending: str) -> None:
    ada = await api.account()
    above = await mint(api, ada)
    child = await mint(api, holder(ada, above))
    grandchild = await mint(api, holder(ada, child))
    other = await mint(api, ada)
    await api.fetch(f"UPDATE api_tokens SET {ending} WHERE id = $1::uuid", above.token.id)
    for made in (above, child, grandchild):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await api.accounts.GetMe(GetMeRequest(), metadata=holder(ada, made).auth)
    await api.accounts.GetMe(GetMeRequest(), metadata=holder(ada, other).auth)
    listed = await api.tokens.ListTokens(ListTokensRequest(), metadata=ada.auth)
    assert [token.id for token in listed.tokens] == [other.token.id]


async def test_the_other_services_forget_a_minted_token_when_its_parent_is_revoked(
    api: Api,
) -> None:
    ada = await api.account()
    request = CreateTokenRequest(name="x", scopes=["user:write", "repo:read"])
    above = await api.tokens.CreateToken(request, metadata=ada.auth)
    child = holder(ada, await api.tokens.CreateToken(request, metadata=holder(ada, above).auth))
    await api.repositories.ListRepositories(ListRepositoriesRequest(), metadata=child.auth)
    revoke = RevokeTokenRequest(token_id=above.token.id)
    await api.tokens.RevokeToken(revoke, metadata=ada.auth)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await api.repositories.ListRepositories(
                    ListRepositoriesRequest(), metadata=child.auth
                )
            except grpc.aio.AioRpcError as error:
                assert error.code() is StatusCode.UNAUTHENTICATED
                return


async def test_a_token_outlives_the_session_that_made_it(api: Api) -> None:
    ada = await api.account()
    made = await mint(api, ada)
    await api.sessions.Logout(LogoutRequest(), metadata=ada.auth)
    await api.accounts.GetMe(GetMeRequest(), metadata=holder(ada, made).auth)


async def test_a_line_of_tokens_has_an_end(api: Api) -> None:
    ada = await api.account()
    made = await mint(api, ada)
    for _ in range(7):
        made = await mint(api, holder(ada, made))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await mint(api, holder(ada, made))
