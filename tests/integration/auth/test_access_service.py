"""AccessService, and what credentials can do."""

from __future__ import annotations

from uuid import UUID

import pytest
from dits.auth.v1.access_service_pb2 import (
    CREDENTIAL_TYPE_API_TOKEN,
    CREDENTIAL_TYPE_SESSION,
    CheckAccessRequest,
    LocateRepositoryRequest,
    LocateRepositoryResponse,
    LocateServicesRequest,
    LocateServicesResponse,
    WhoAmIRequest,
)
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.repo.v1.repository_service_pb2 import VISIBILITY_PUBLIC
from grpc import StatusCode

from services.auth.access.decisions import LocalAccess
from shared.db.pool import Database
from shared.formats import credentials
from shared.runtime.config import Settings
from shared.runtime.setting_types import CellAddresses
from tests.support.api import Api, refused, running_suite
from tests.support.cells import move_to
from tests.support.statements import StatementLog


async def test_check_access_tells_who_is_asking(api: Api) -> None:
    ada = await api.account("ada")
    repository = await api.repository(ada, "films")
    answer = await api.access.CheckAccess(
        CheckAccessRequest(repository="ADA/Films"), metadata=ada.auth
    )
    assert answer.caller.username == "ada"
    assert answer.repository.repository_id == repository.id
    assert (await api.access.CheckAccess(CheckAccessRequest())).HasField("caller") is False


@pytest.mark.parametrize("is_token", [False, True])
async def test_one_statement_answers_who_calls_and_what_they_may_do(
    api: Api, monkeypatch: pytest.MonkeyPatch, is_token: bool
) -> None:
    ada = await api.account("ada")
    repository = await api.repository(ada, "films")
    who = await api.api_token(ada, "repo:read") if is_token else ada
    database = await Database.connect(api.dsn, service="test", size=1)
    access = LocalAccess(database)
    # Here the connection learns the types of the columns.
    await access.resolve(who.token, "ada/films", 0.0)
    log = StatementLog(monkeypatch, database)
    for name in ("ada/films", repository.id):
        answer = await access.resolve(who.token, name, 0.0)
        assert answer.repository is not None
    await access.resolve(who.token, "", 0.0)
    await database.close()
    assert len(log.statements) == 3
    # An RPC that names no repository asks once who calls.
    everything = StatementLog(monkeypatch)
    await api.access.WhoAmI(WhoAmIRequest(), metadata=who.auth)
    assert [text.count("live_credential") for text in everything.statements].count(1) == 1


async def test_a_bad_credential_is_told_before_a_bad_name(api: Api) -> None:
    ada = await api.account()
    request = CheckAccessRequest(repository="no name")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.access.CheckAccess(request, metadata=ada.auth)
    await api.fetch("UPDATE sessions SET revoked_at = now()")
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.access.CheckAccess(request, metadata=ada.auth)


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


async def test_check_access_names_the_cell(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    request = CheckAccessRequest(repository=repository.id)
    for cell in (0, 7):
        await move_to(api, ada, cell)
        answer = await api.access.CheckAccess(request, metadata=ada.auth)
        assert answer.repository.cell == cell


async def test_a_repository_beside_auth_has_no_addresses_of_its_own(api: Api) -> None:
    ada = await api.account("ada")
    repository = await api.repository(ada, "films", visibility=VISIBILITY_PUBLIC)
    answer = await api.access.LocateRepository(LocateRepositoryRequest(repository="Ada/FILMS"))
    assert answer == LocateRepositoryResponse(repository_id=repository.id, cell=0)


async def test_the_addresses_of_a_cell_are_those_of_the_settings(
    dsn: str, settings: Settings
) -> None:
    cells = {
        number: CellAddresses(repo=f"r{number}:1", chunk=f"c{number}:2", lock=f"[::{number}]:3")
        for number in (0, 1)
    }
    async with running_suite(dsn, settings.model_copy(update={"cells": cells})) as api:
        ada = await api.account()
        repository = await api.repository(ada)
        request = LocateRepositoryRequest(repository=repository.id)
        for cell in (0, 1):
            await move_to(api, ada, cell)
            answer = await api.access.LocateRepository(request, metadata=ada.auth)
            assert answer == LocateRepositoryResponse(
                repository_id=repository.id,
                cell=cell,
                repo_address=f"r{cell}:1",
                chunk_address=f"c{cell}:2",
                lock_address=f"[::{cell}]:3",
            )
        await move_to(api, ada, 2)
        with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE") as refusal:
            await api.access.LocateRepository(request, metadata=ada.auth)
        assert refusal.metadata == {"dependency": "cell 2"}


async def test_services_that_are_asked_about_no_repository_are_those_of_the_callers_cell(
    dsn: str, settings: Settings
) -> None:
    cells = {1: CellAddresses(repo="r:1", chunk="c:2", lock="l:3")}
    async with running_suite(dsn, settings.model_copy(update={"cells": cells})) as api:
        ada = await api.account()
        machine = await api.api_token(ada, "lock:write")
        request, own = LocateServicesRequest(), LocateServicesResponse(cell=0)
        assert await api.access.LocateServices(request) == own
        assert await api.access.LocateServices(request, metadata=ada.auth) == own
        await move_to(api, ada, 1)
        for who in (ada, machine):
            assert await api.access.LocateServices(request, metadata=who.auth) == (
                LocateServicesResponse(
                    cell=1, repo_address="r:1", chunk_address="c:2", lock_address="l:3"
                )
            )
        await move_to(api, ada, 2)
        with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
            await api.access.LocateServices(request, metadata=ada.auth)
        assert await api.access.LocateServices(request) == own


async def test_only_who_may_see_a_repository_is_told_where_it_is(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    request = LocateRepositoryRequest(repository=(await api.repository(ada)).id)
    machine = await api.api_token(ada, "lock:write")
    assert (await api.access.LocateRepository(request, metadata=machine.auth)).cell == 0
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.access.LocateRepository(request, metadata=bob.auth)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.access.LocateRepository(request)


async def test_a_session_is_told_who_it_is_and_until_when(api: Api) -> None:
    ada = await api.account("ada")
    answer = await api.access.WhoAmI(WhoAmIRequest(), metadata=ada.auth)
    assert (answer.caller.user_id, answer.caller.username) == (str(ada.id), "ada")
    assert answer.caller.credential_type == CREDENTIAL_TYPE_SESSION
    assert not answer.caller.scopes
    assert answer.token_name == ""
    assert answer.expire_time.seconds - answer.create_time.seconds == 24 * 60 * 60
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.access.WhoAmI(WhoAmIRequest())


async def test_a_token_is_told_its_scopes_and_limits(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    machine = await api.api_token(ada, "repo:write", repositories=[UUID(repository.id)])
    answer = await api.access.WhoAmI(WhoAmIRequest(), metadata=machine.auth)
    assert answer.caller.credential_type == CREDENTIAL_TYPE_API_TOKEN
    assert answer.caller.scopes == ["lock:write", "repo:read", "repo:write"]
    assert answer.caller.repository_ids == [repository.id]
    assert answer.token_name == "test"
    await api.fetch("UPDATE api_tokens SET expires_at = NULL")
    answer = await api.access.WhoAmI(WhoAmIRequest(), metadata=machine.auth)
    assert not answer.HasField("expire_time")
