"""Logins are protected from guessing, and their owners from those who guess."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from dits.auth.v1.session_service_pb2 import IssuedSession, LoginRequest
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from services.auth.background.login_throttles import purge_login_throttles
from shared.db.pool import Database
from shared.runtime.config import Settings
from tests.support.accounts import PASSWORD, registration
from tests.support.api import Api, read_error, refused

HOME, OFFICE = "198.51.100.7", "203.0.113.9"
WRONG = "not the secret"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The tests stand behind a proxy, which says where calls come from."""
    return settings.model_copy(update={"trusted_proxies": ("127.0.0.1",)})


async def log_in(
    api: Api, login: str, address: str, password: str = PASSWORD, device_token: str = ""
) -> IssuedSession:
    """Logs in from an address."""
    request = LoginRequest(login=login, password=password, device_token=device_token)
    response = await api.sessions.Login(request, metadata=(("x-forwarded-for", address),))
    session: IssuedSession = response.session
    return session


async def outcome(api: Api, login: str, address: str, password: str = WRONG) -> str:
    """Returns the reason of a refused login, or OK."""
    try:
        await log_in(api, login, address, password)
    except grpc.aio.AioRpcError as error:
        return read_error(error).reason
    return "OK"


async def fail(api: Api, bucket: str, failures: int) -> None:
    """Leaves a bucket as failures would have, and closes it if they are at the limit."""
    limit = 100 if bucket.startswith("address") else 10
    await api.fetch(
        """INSERT INTO login_throttles (bucket, failures, blocked_until)
           VALUES ($1, $2::int, CASE WHEN $2::int >= $3::int THEN now() + interval '1 minute' END)
           ON CONFLICT (bucket) DO UPDATE
           SET failures = excluded.failures, blocked_until = excluded.blocked_until""",
        bucket,
        failures,
        limit,
    )


async def test_attempts_are_counted_before_their_passwords_are_hashed(api: Api) -> None:
    await api.accounts.Register(registration())
    results = await asyncio.gather(*(outcome(api, "ada", HOME) for _ in range(34)))
    assert sorted(results) == ["RATE_LIMITED"] * 24 + ["UNAUTHENTICATED"] * 10
    # The owner is elsewhere, and sees nothing of it.
    assert await outcome(api, "ada", OFFICE, PASSWORD) == "OK"


async def test_a_username_and_its_address_are_one_bucket(api: Api) -> None:
    await api.accounts.Register(registration())
    logins = ["ada", "ada@example.com", "ADA", "Ada@Example.com"] * 3
    results = [await outcome(api, login, HOME) for login in logins]
    assert results == ["UNAUTHENTICATED"] * 10 + ["RATE_LIMITED"] * 2


@pytest.mark.parametrize(
    ("others", "result"),
    [
        ("2001:db8:1:2:ffff::1", "RATE_LIMITED"),
        ("2001:0DB8:0001:0002::0001", "RATE_LIMITED"),
        ("2001:db8:1:3::1", "UNAUTHENTICATED"),
        ("::ffff:198.51.100.7", "UNAUTHENTICATED"),
    ],
)
async def test_an_ipv6_network_is_a_64(api: Api, others: str, result: str) -> None:
    await fail(api, "login ada from 2001:db8:1:2::/64", 9)
    assert await outcome(api, "ada", "2001:db8:1:2::1") == "UNAUTHENTICATED"
    assert await outcome(api, "ada", others) == result


async def test_an_address_of_ipv6_is_a_64(api: Api) -> None:
    await fail(api, "address 2001:db8:1:2::/64", 99)
    assert await outcome(api, "eve", "2001:db8:1:2::1") == "UNAUTHENTICATED"
    assert await outcome(api, "bob", "2001:db8:1:2:3::9") == "RATE_LIMITED"


async def test_a_known_device_is_not_closed_by_others_at_its_address(api: Api) -> None:
    await api.accounts.Register(registration())
    device = (await log_in(api, "ada", HOME)).device_token
    for bucket in (f"address {OFFICE}", "login ada from 203.0.113.0/24"):
        await fail(api, bucket, 150)
    assert await outcome(api, "ada", OFFICE, PASSWORD) == "RATE_LIMITED"
    again = await log_in(api, "ada", OFFICE, device_token=device)
    # The strangers stay where they are.
    assert await outcome(api, "ada", OFFICE, PASSWORD) == "RATE_LIMITED"
    await log_in(api, "ada@example.com", OFFICE, device_token=again.device_token)


async def test_a_device_has_ten_failures_of_its_own(api: Api) -> None:
    await api.accounts.Register(registration())
    device = (await log_in(api, "ada", HOME)).device_token
    for _ in range(10):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await log_in(api, "ada", HOME, "wrong", device)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
        await log_in(api, "ada", HOME, PASSWORD, device)
    assert await outcome(api, "ada", HOME, PASSWORD) == "OK"


async def test_a_device_token_is_good_for_its_account_alone(api: Api) -> None:
    await api.accounts.Register(registration())
    await api.accounts.Register(registration(username="eve", email="eve@example.com"))
    device = (await log_in(api, "eve", HOME)).device_token
    await fail(api, "login ada from 198.51.100.0/24", 10)
    for forged in (device, "AAAA", "é", device[:-4], "x" * 255):
        with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
            await log_in(api, "ada", HOME, PASSWORD, forged)


async def test_an_account_known_in_a_network_does_not_mind_failures_of_its_addresses(
    api: Api,
) -> None:
    await api.accounts.Register(registration())
    await log_in(api, "ada", HOME)
    for address in (HOME, "198.51.100.8", OFFICE):
        await fail(api, f"address {address}", 150)
    assert await outcome(api, "ada", HOME, PASSWORD) == "OK"
    assert await outcome(api, "ada", "198.51.100.8", PASSWORD) == "OK"
    assert await outcome(api, "ada", OFFICE, PASSWORD) == "RATE_LIMITED"
    assert await outcome(api, "bob", HOME, PASSWORD) == "RATE_LIMITED"


async def test_old_failures_do_not_count(api: Api) -> None:
    await api.fetch(
        """INSERT INTO login_throttles (bucket, failures, window_started_at, blocked_until)
           VALUES ('login ada from 198.51.100.0/24', 20,
                   now() - interval '300 days', now() - interval '299 days')"""
    )
    assert await outcome(api, "ada", HOME) == "UNAUTHENTICATED"
    assert await outcome(api, "ada", HOME) == "UNAUTHENTICATED"
    row = await api.fetch(
        "SELECT failures, blocked_until FROM login_throttles WHERE bucket ~ 'ada'"
    )
    assert [tuple(found) for found in row] == [(2, None)]


@pytest.mark.parametrize(("failures", "minutes"), [(10, 2), (12, 8), (13, 15), (9000, 15)])
async def test_waits_double_up_to_fifteen_minutes(api: Api, failures: int, minutes: int) -> None:
    await api.fetch(
        """INSERT INTO login_throttles (bucket, failures, blocked_until)
           VALUES ('login ada from 198.51.100.0/24', $1, now())""",
        failures,
    )
    assert await outcome(api, "ada", HOME) == "UNAUTHENTICATED"
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED") as refusal:
        await log_in(api, "ada", HOME)
    wait = refusal.detail(RetryInfo).retry_delay.seconds
    assert minutes * 60 - 30 < wait <= minutes * 60


async def test_a_success_forgets_its_failures_and_leaves_those_of_the_address(api: Api) -> None:
    await api.accounts.Register(registration())
    await fail(api, "login ada from 198.51.100.0/24", 9)
    await fail(api, f"address {HOME}", 99)
    assert await outcome(api, "ada", HOME, PASSWORD) == "OK"
    left = await api.fetch("SELECT bucket, failures, blocked_until FROM login_throttles")
    assert [tuple(row) for row in left if "register" not in row["bucket"]] == [
        (f"address {HOME}", 99, None)
    ]


async def test_buckets_that_say_nothing_are_purged(api: Api) -> None:
    await api.fetch(
        """INSERT INTO login_throttles (bucket, failures, window_started_at, blocked_until)
           SELECT b, 12, now() - age, now() + block FROM (VALUES
               ('old 1', interval '16 min', -interval '1 min'), ('old 2', interval '1 day', NULL),
               ('young', interval '14 min', NULL), ('closed', interval '16 min', interval '1 min')
           ) AS v (b, age, block)"""
    )
    database = await Database.connect(api.dsn, service="test", size=1)
    try:
        assert [count async for count in purge_login_throttles(1).delete_batches(database)]
    finally:
        await database.close()
    left = await api.fetch("SELECT bucket FROM login_throttles ORDER BY 1")
    assert [row["bucket"] for row in left] == ["closed", "young"]
