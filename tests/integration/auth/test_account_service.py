"""Registering, logging in, sessions, tokens."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from dits.auth.v1.access_service_pb2 import CheckAccessRequest
from dits.auth.v1.account_service_pb2 import GetMeRequest, RegisterRequest
from dits.auth.v1.session_service_pb2 import LoginRequest, LogoutRequest
from dits.auth.v1.token_service_pb2 import (
    CreateTokenRequest,
    ListTokensRequest,
    RevokeTokenRequest,
)
from dits.repo.v1.repository_service_pb2 import ListRepositoriesRequest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from grpc import StatusCode

from shared.formats import credentials
from tests.support.api import Account, Api, refused

PASSWORD = "a long enough secret"


def registration(**changes: str) -> RegisterRequest:
    fields = {"username": "Ada", "email": "ada@example.com", "password": PASSWORD, **changes}
    return RegisterRequest(**fields)


async def test_register_and_log_in(api: Api) -> None:
    user = (await api.accounts.Register(registration())).user
    assert (user.username, user.email, user.name) == ("Ada", "ada@example.com", "Ada")
    for login in ("ada", "ADA@example.com"):
        session = (await api.sessions.Login(LoginRequest(login=login, password=PASSWORD))).session
        ada = Account(uuid.UUID(session.user_id), session.username, session.token)
        me = await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
        assert me.user == user
    actions = await api.fetch('SELECT action FROM audit_log ORDER BY "timestamp"')
    assert [row["action"] for row in actions] == ["user.registered", *["session.opened"] * 2]


async def test_the_password_is_stored_as_argon2id_with_its_salt(api: Api) -> None:
    await api.accounts.Register(registration())
    (row,) = await api.fetch("SELECT * FROM user_credentials")
    assert row["password_hash"].startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert row["password_salt"] in row["password_hash"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "ab"),
        ("username", "a" * 40),
        ("username", "-ada"),
        ("username", "ada-"),
        ("username", "a--da"),
        ("username", "Admin"),
        ("username", "adä"),
        ("email", "nobody"),
        ("email", "a@b@c"),
        ("email", "a" * 250 + "@b.de"),
        ("email", "a\0b@c.de"),
        ("password", "short"),
        ("password", "x" * 1025),
        ("password", "Password1234"),
        ("password", "qwertyuiop12"),
        ("name", "x" * 256),
        ("name", "a\0b"),
        ("request_id", "not-a-uuid"),
    ],
)
async def test_registration_is_held_to_the_rules(api: Api, field: str, value: str) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await api.accounts.Register(registration(**{field: value}))
    (violation,) = refusal.detail(BadRequest).field_violations
    assert violation.field == field


@pytest.mark.parametrize("change", [{"email": "other@example.com"}, {"username": "other"}])
async def test_names_and_addresses_are_taken_without_regard_to_case(
    api: Api, change: dict[str, str]
) -> None:
    await api.accounts.Register(registration())
    again = {"username": "aDA", "email": "ADA@example.com", **change}
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await api.accounts.Register(registration(**again))


async def test_two_registrations_of_one_name_at_once(api: Api) -> None:
    calls = [
        api.accounts.Register(registration(email=f"ada{n}@example.com", username=name))
        for n, name in enumerate(("ada", "ADA"))
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(isinstance(r, grpc.aio.AioRpcError) for r in results) == [False, True]


async def test_register_replays_by_request_id(api: Api) -> None:
    request = registration(request_id=str(uuid.uuid4()))
    first, second = await asyncio.gather(*(api.accounts.Register(request) for _ in range(2)))
    assert first == second
    with refused(StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await api.accounts.Register(registration(request_id=request.request_id, username="eve"))


async def test_wrong_logins_look_alike(api: Api) -> None:
    await api.accounts.Register(registration())
    await api.accounts.Register(registration(username="sue", email="sue@example.com"))
    await api.fetch("UPDATE users SET status = 'suspended' WHERE username = 'sue'")
    told = []
    for login, password in (("ada", "wrong"), ("nobody", PASSWORD), ("sue", PASSWORD)):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED") as refusal:
            await api.sessions.Login(LoginRequest(login=login, password=password))
        told.append((refusal.message, refusal.metadata, len(refusal.details)))
    assert len(set(map(str, told))) == 1


async def test_a_login_is_throttled_from_its_network_only(api: Api) -> None:
    ada = await api.account("ada")
    await api.fetch(
        """INSERT INTO login_throttles (bucket, failures) VALUES ('login ada from 127.0.0.0/24', 9)"""
    )
    attempt = LoginRequest(login="ada", password="wrong")
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.sessions.Login(attempt)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED") as refusal:
        await api.sessions.Login(attempt)
    assert 0 < refusal.detail(RetryInfo).retry_delay.seconds <= 60
    # The victim's live session goes on, and other logins from there work.
    assert (await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)).user.username == "ada"
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.sessions.Login(LoginRequest(login="someone", password="wrong"))


async def test_a_sixth_session_ends_the_least_recently_used(api: Api) -> None:
    ada = await api.account("ada")
    await api.fetch(
        """INSERT INTO user_credentials (user_id, password_hash, password_salt)
           SELECT $1, password_hash, password_salt FROM user_credentials LIMIT 0""",
        ada.id,
    )
    await api.accounts.Register(registration(username="bob", email="bob@example.com"))
    logins = [
        (await api.sessions.Login(LoginRequest(login="bob", password=PASSWORD))).session
        for _ in range(6)
    ]
    live = await api.fetch("SELECT id FROM sessions WHERE revoked_at IS NULL AND user_id = $1::uuid",
                           logins[0].user_id)  # fmt: skip
    assert {str(row["id"]) for row in live} == {login.id for login in logins[1:]}


async def test_logout_ends_the_session_everywhere(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest

    get = GetRepositoryRequest(repository=repository.id)
    await api.repositories.GetRepository(get, metadata=ada.auth)
    await api.sessions.Logout(LogoutRequest(), metadata=ada.auth)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)

    async def until_refused() -> None:
        while True:
            try:
                await api.repositories.GetRepository(get, metadata=ada.auth)
            except grpc.aio.AioRpcError as error:
                assert error.code() is StatusCode.UNAUTHENTICATED
                return
            await asyncio.sleep(0.01)

    # Five seconds is the promise; the notification makes it much quicker.
    await asyncio.wait_for(until_refused(), 5)


@pytest.mark.parametrize("state", ["expired", "idle", "revoked", "suspended"])
async def test_a_dead_session_is_refused(api: Api, state: str) -> None:
    ada = await api.account()
    await api.fetch(
        {
            "expired": "UPDATE sessions SET expires_at = now() WHERE user_id = $1",
            "idle": "UPDATE sessions SET last_active_at = now() - interval '31 min' WHERE user_id = $1",
            "revoked": "UPDATE sessions SET revoked_at = now() WHERE user_id = $1",
            "suspended": "UPDATE users SET status = 'suspended' WHERE id = $1",
        }[state],
        ada.id,
    )
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic YTpi", "fresh"])
async def test_bad_credentials_look_alike(api: Api, header: str) -> None:
    if header == "fresh":  # well formed, and nobody's
        header = f"Bearer {credentials.mint(credentials.Kind.SESSION)}"
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED") as refusal:
        await api.accounts.GetMe(GetMeRequest(), metadata=(("authorization", header),))
    assert refusal.message.startswith("a valid credential is needed")


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
    one, two = await api.repository(ada), await api.repository(ada)
    narrow = await api.api_token(ada, "user:write", "repo:read", repositories=[uuid.UUID(one.id)])
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
        await api.tokens.CreateToken(
            CreateTokenRequest(name="x", scopes=["repo:write"]), metadata=narrow.auth
        )
    assert refusal.metadata == {"required": "repo:write"}
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.tokens.CreateToken(
            CreateTokenRequest(name="x", scopes=["repo:read"], repositories=[two.id]),
            metadata=narrow.auth,
        )
    made = await api.tokens.CreateToken(
        CreateTokenRequest(name="x", scopes=["repo:read"]), metadata=narrow.auth
    )
    assert list(made.token.repository_ids) == [one.id]


async def test_another_users_token_is_not_found(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    made = await api.tokens.CreateToken(
        CreateTokenRequest(name="x", scopes=["repo:read"]), metadata=ada.auth
    )
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.tokens.RevokeToken(RevokeTokenRequest(token_id=made.token.id), metadata=bob.auth)


async def test_scopes_limit_an_api_token(api: Api) -> None:
    ada = await api.account()
    reader = await api.api_token(ada, "repo:read")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
        await api.accounts.GetMe(GetMeRequest(), metadata=reader.auth)
    assert refusal.metadata == {"required": "user:read"}


async def test_check_access_tells_who_is_asking(api: Api) -> None:
    ada = await api.account("ada")
    repository = await api.repository(ada, "films")
    answer = await api.access.CheckAccess(
        CheckAccessRequest(repository="ADA/Films"), metadata=ada.auth
    )
    assert answer.caller.username == "ada"
    assert answer.repository.repository_id == repository.id
    assert (await api.access.CheckAccess(CheckAccessRequest())).HasField("caller") is False


async def test_an_api_token_cannot_log_out(api: Api) -> None:
    ada = await api.account()
    machine = await api.api_token(ada, "repo:read")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.sessions.Logout(LogoutRequest(), metadata=machine.auth)


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
