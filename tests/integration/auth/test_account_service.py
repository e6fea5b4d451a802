"""AccountService: creating and reading accounts."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.session_service_pb2 import LoginRequest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from grpc import StatusCode

from tests.support.accounts import PASSWORD, registration
from tests.support.api import Account, Api, read_error, refused
from tests.support.password_hashes import hash_really


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


@pytest.fixture
def real_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    hash_really(monkeypatch)


@pytest.mark.usefixtures("real_hashes")
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
        ("username", "00000000-0000-0000-0000-00000000000A"),
        ("username", "adä"),
        ("email", "nobody"),
        ("email", "a@b@c"),
        ("email", "a" * 250 + "@b.de"),
        ("email", "a\0b@c.de"),
        ("email", "a\u202eb@c.de"),
        ("email", "a\u0378b@c.de"),
        ("email", "a\u00a0b@c.de"),
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


@pytest.mark.parametrize(
    ("email", "spelling"),
    [
        ("Ärger.x@x.de", "ärger.x@x.de"),
        ("ärger.x@x.de", "A\u0308RGER.x@X.de"),
        ("straße@x.de", "STRASSE@x.de"),
        ("ΣΊΣΥΦΟΣ@x.gr", "σίσυφος@x.gr"),
        ("İstanbul@x.tr", "i\u0307stanbul@x.tr"),
        ("ПОЧТА@почта.рф", "почта@ПОЧТА.рф"),
    ],
)
async def test_addresses_beyond_ascii_have_one_owner_who_can_log_in(
    api: Api, email: str, spelling: str
) -> None:
    await api.accounts.Register(registration(email=email))
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await api.accounts.Register(registration(username="eve", email=spelling))
    for login in (email, spelling):
        session = (await api.sessions.Login(LoginRequest(login=login, password=PASSWORD))).session
        assert session.username == "Ada"


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


@pytest.mark.usefixtures("real_hashes")
async def test_registrations_leave_logins_alone(api: Api) -> None:
    await api.accounts.Register(registration())

    async def register(n: int) -> str:
        try:
            await api.accounts.Register(
                registration(username=f"user-{n}", email=f"{n}@example.com")
            )
        except grpc.aio.AioRpcError as error:
            return read_error(error).reason
        return "OK"

    registering = [asyncio.create_task(register(n)) for n in range(45)]
    login = LoginRequest(login="ada", password=PASSWORD)
    for _ in range(5):
        await api.sessions.Login(login)
    results = await asyncio.gather(*registering)
    assert set(results) <= {"OK", "SERVER_BUSY", "RATE_LIMITED"}
    assert results.count("OK") < 30


async def test_registrations_of_one_address_are_limited(api: Api) -> None:
    """A repetition is none: it does not count, and gets the first result when others are refused."""
    mine = registration(request_id=str(uuid.uuid4()))
    made = await api.accounts.Register(mine)
    assert await api.accounts.Register(mine) == made
    taken = registration(username="ada", email="other@example.com")
    for _ in range(29):
        with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
            await api.accounts.Register(taken)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED") as refusal:
        await api.accounts.Register(registration(username="eve", email="eve@example.com"))
    assert 0 < refusal.detail(RetryInfo).retry_delay.seconds <= 60
    assert await api.accounts.Register(mine) == made
    await api.sessions.Login(LoginRequest(login="ada", password=PASSWORD))
