"""AccountService: links that verify addresses and reset passwords, good once and not for long."""

from __future__ import annotations

import uuid

from dits.auth.v1 import account_service_pb2 as pb
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from shared.runtime.server_key import ServerKey
from tests.support.accounts import PASSWORD
from tests.support.api import Api, refused
from tests.support.mailed_links import (
    NEW,
    log_in,
    read_mails,
    read_me,
    read_tokens,
    register,
    request_reset,
    resend,
    reset,
    verify,
)


async def test_the_mailed_link_verifies_the_address_once(api: Api, key: ServerKey) -> None:
    ada = await register(api)
    assert not (await read_me(api, ada)).email_verified
    [(address, values)] = await read_mails(api, key, "verify_email")
    assert (address, values["link"]) == ("ada@example.com", f"/verify-email/{values['token']}")
    await api.fetch("UPDATE users SET status = 'pending_verification'")
    request_id = str(uuid.uuid4())
    for _ in range(2):
        await verify(api, values["token"], request_id)
    me = await read_me(api, ada)
    assert (me.email_verified, me.status) == (True, pb.USER_STATUS_ACTIVE)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await verify(api, values["token"])
    [row] = await api.fetch("SELECT * FROM audit_log WHERE action = 'email.verified'")
    assert row["resource_id"] == str(ada.id)
    assert values["token"] not in str(await api.fetch("SELECT * FROM audit_log, one_time_tokens"))


async def test_another_link_does_not_end_the_first(api: Api, key: ServerKey) -> None:
    await register(api)
    for login in ("ADA", "ada@EXAMPLE.com"):
        await resend(api, login)
    first, *others = await read_tokens(api, key, "verify_email")
    assert len(others) == 2
    await verify(api, first)
    for other in others:
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await verify(api, other)
    await resend(api, "ada")
    assert len(await read_tokens(api, key, "verify_email")) == 3


async def test_a_reset_sets_the_password_and_opens_no_session(api: Api, key: ServerKey) -> None:
    ada = await register(api)
    await request_reset(api, "ada@example.com")
    [token] = await read_tokens(api, key, "reset_password")
    request_id = str(uuid.uuid4())
    for _ in range(2):
        await reset(api, token, request_id=request_id)
    assert not await api.value("SELECT count(*) FROM sessions WHERE revoked_at IS NULL")
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await read_me(api, ada)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await log_in(api, "ada", PASSWORD)
    await log_in(api, "ada", NEW)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await reset(api, token)
    [row] = await api.fetch("SELECT * FROM audit_log WHERE action = 'password.reset'")
    assert row["resource_name"] == "ada"
    assert len(await read_mails(api, key, "password_changed")) == 1


async def test_a_link_that_is_good_no_more(api: Api, key: ServerKey) -> None:
    await register(api)
    await request_reset(api, "ada")
    [verification] = await read_tokens(api, key, "verify_email")
    [token] = await read_tokens(api, key, "reset_password")
    # Each is good for its own purpose alone.
    wrong = [verify(api, token), reset(api, verification), reset(api, "x" * 43)]
    for end, back in _ENDS:
        for call in (*wrong, verify(api, verification), reset(api, token)):
            await api.fetch(end)
            with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED") as refusal:
                await call
            assert refusal.message == "this link is not good, or not any more: ask for another one"
            await api.fetch(back)
        wrong = []
    await verify(api, verification)
    await reset(api, token)


# What ends links, and brings them back.
_ENDS = (
    (
        "UPDATE one_time_tokens SET expires_at = expires_at - interval '1 day'",
        "UPDATE one_time_tokens SET expires_at = expires_at + interval '1 day'",
    ),
    ("UPDATE users SET status = 'suspended'", "UPDATE users SET status = 'active'"),
    ("UPDATE users SET status = 'deleted'", "UPDATE users SET status = 'active'"),
    (
        "UPDATE users SET email_folded = 'other@example.com'",
        "UPDATE users SET email_folded = 'ada@example.com'",
    ),
)


async def test_links_end_in_time(api: Api, key: ServerKey) -> None:
    await register(api)
    await request_reset(api, "ada")
    await read_tokens(api, key, "reset_password")
    rows = await api.fetch("SELECT purpose, expires_at - created_at AS life FROM one_time_tokens")
    lives = {row["purpose"]: round(row["life"].total_seconds()) for row in rows}
    assert lives == {"verify_email": 86_400, "reset_password": 900}


async def test_asking_for_a_link_tells_nothing(api: Api, key: ServerKey) -> None:
    """Whoever asks gets the same answer from the same statements: what differs is done by a job."""
    await register(api)
    await register(api, "sue")
    await api.fetch("UPDATE users SET status = 'suspended' WHERE username = 'sue'")
    for login in ("ada", "sue", "nobody", "nobody@example.com"):
        for ask in (request_reset, resend):
            await ask(api, login)
    assert len(await read_tokens(api, key, "reset_password")) == 1
    assert len(await read_tokens(api, key, "verify_email")) == 3
    rows = await api.fetch("SELECT payload::text FROM jobs WHERE job_type = 'send_account_link'")
    assert len(rows) == 8
    assert "ada" not in str(rows)


async def test_mails_are_limited_for_each_account_and_address(api: Api, key: ServerKey) -> None:
    await register(api)
    for _ in range(30):
        await request_reset(api, "ada")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED") as refusal:
        await request_reset(api, "nobody")
    assert 0 < refusal.detail(RetryInfo).retry_delay.seconds <= 60
    assert len(await read_tokens(api, key, "reset_password")) == 3


async def test_bad_input(api: Api) -> None:
    for name, request in (
        ("VerifyEmail", pb.VerifyEmailRequest(token="")),
        ("VerifyEmail", pb.VerifyEmailRequest(token="x" * 101)),
        ("VerifyEmail", pb.VerifyEmailRequest(token="x", request_id="y")),
        ("ResendVerification", pb.ResendVerificationRequest(login="")),
        ("ResendVerification", pb.ResendVerificationRequest(login="x" * 255)),
        ("RequestPasswordReset", pb.RequestPasswordResetRequest(login="a\0b")),
        ("ResetPassword", pb.ResetPasswordRequest(token="a\nb", new_password=NEW)),
        ("ResetPassword", pb.ResetPasswordRequest(token="x", new_password=NEW, request_id="y")),
    ):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await getattr(api.accounts, name)(request)
