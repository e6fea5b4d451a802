"""A token that is limited to repositories acts for these, not for the account of its owner."""

from __future__ import annotations

from uuid import UUID

import grpc
import pytest
from dits.auth.v1.token_service_pb2 import ListTokensRequest, RevokeTokenRequest
from grpc import StatusCode

from shared.rpc.policy import SCOPES, SITE_ADMIN
from tests.support.api import Account, Api, read_error, refused
from tests.support.raw_calls import call_raw
from tests.support.rpcs import Rpc, messages, rpcs

# RPCs that can be called without naming a repository.
ABOUT_ACCOUNTS = [
    rpc
    for rpc in rpcs()
    if not rpc.access.repository_field
    or rpc.access.repository_optional
    or rpc.access.organization_field
]


async def make_limited(api: Api, owner: Account) -> Account:
    """Returns the owner with a token of all scopes that is limited to one repository."""
    repository = await api.repository(owner)
    return await api.api_token(
        owner, *sorted(SCOPES - {SITE_ADMIN}), repositories=[UUID(repository.id)]
    )


async def end_of(api: Api, rpc: Rpc, who: Account) -> str:
    """Returns the reason with which a request ends; empty if it does not fail.

    It is empty, but for the name of an organisation if it has to name that or a repository.
    """
    body = b""
    if rpc.access.organization_field and not rpc.access.repository_optional:
        fields = messages()[rpc.method.input_type].field
        [number] = [each.number for each in fields if each.name == rpc.access.organization_field]
        body = bytes([number << 3 | 2, 6]) + b"studio"
    try:
        await call_raw(api, rpc.path, body, who.auth)
    except grpc.aio.AioRpcError as error:
        return read_error(error).reason
    return ""


async def test_it_calls_nothing_about_an_account_but_what_is_marked(
    api: Api, subtests: pytest.Subtests
) -> None:
    ada = await api.account()
    limited = await make_limited(api, ada)
    for rpc in ABOUT_ACCOUNTS:
        with subtests.test(rpc.path):
            is_refused = await end_of(api, rpc, limited) == "TOKEN_LIMITED"
            # Of its own account's audit log, the handler decides.
            if not rpc.path.startswith("/dits.auth.v1.AuditService/"):
                assert is_refused != rpc.access.limited_tokens
    assert len(ABOUT_ACCOUNTS) > 20
    assert await api.value("SELECT count(*) FROM repositories") == 1


async def test_it_ends_no_token_but_itself(api: Api) -> None:
    ada = await api.account()
    await api.api_token(ada, "repo:read")
    limited = await make_limited(api, ada)
    listed = await api.tokens.ListTokens(ListTokensRequest(), metadata=ada.auth)
    own, other = (token.id for token in listed.tokens)
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_LIMITED"):
        await api.tokens.RevokeToken(RevokeTokenRequest(token_id=other), metadata=limited.auth)
    await api.tokens.RevokeToken(RevokeTokenRequest(token_id=own), metadata=limited.auth)
    left = await api.tokens.ListTokens(ListTokensRequest(), metadata=ada.auth)
    assert [token.id for token in left.tokens] == [other]


async def test_the_audit_log_of_its_owner_is_not_shown(api: Api) -> None:
    limited = await make_limited(api, await api.account())
    for rpc in ABOUT_ACCOUNTS:
        if rpc.path.startswith("/dits.auth.v1.AuditService/"):
            assert await end_of(api, rpc, limited) == "TOKEN_LIMITED"
