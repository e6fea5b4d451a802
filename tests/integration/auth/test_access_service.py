"""AccessService, and what credentials can do."""

from __future__ import annotations

import pytest
from dits.auth.v1.access_service_pb2 import CheckAccessRequest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from grpc import StatusCode

from shared.formats import credentials
from tests.support.api import Api, refused


async def test_check_access_tells_who_is_asking(api: Api) -> None:
    ada = await api.account("ada")
    repository = await api.repository(ada, "films")
    answer = await api.access.CheckAccess(
        CheckAccessRequest(repository="ADA/Films"), metadata=ada.auth
    )
    assert answer.caller.username == "ada"
    assert answer.repository.repository_id == repository.id
    assert (await api.access.CheckAccess(CheckAccessRequest())).HasField("caller") is False


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic YTpi", "fresh"])
async def test_bad_credentials_look_alike(api: Api, header: str) -> None:
    if header == "fresh":  # well formed, and nobody's
        header = f"Bearer {credentials.mint(credentials.Kind.SESSION)}"
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED") as refusal:
        await api.accounts.GetMe(GetMeRequest(), metadata=(("authorization", header),))
    assert refusal.message.startswith("a valid credential is needed")


async def test_scopes_limit_an_api_token(api: Api) -> None:
    ada = await api.account()
    reader = await api.api_token(ada, "repo:read")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
        await api.accounts.GetMe(GetMeRequest(), metadata=reader.auth)
    assert refusal.metadata == {"required": "user:read"}
