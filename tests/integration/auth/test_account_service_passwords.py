"""AccountService: changing the password."""

from __future__ import annotations

from collections.abc import Awaitable

import pytest
from dits.auth.v1.access_service_pb2 import WhoAmIRequest
from dits.auth.v1.session_service_pb2 import ElevateRequest
from dits.auth.v1.token_service_pb2 import CreateTokenRequest
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from shared.runtime.server_key import ServerKey
from tests.support.accounts import PASSWORD
from tests.support.api import Api, refused
from tests.support.mailed_links import (
    NEW,
    change_password,
    log_in,
    read_mails,
    read_me,
    read_tokens,
    register,
    request_reset,
    reset,
    update,
    verify,
)
from tests.support.mfa import Guarded


async def test_a_new_password_ends_the_other_sessions_and_the_old_token(
    api: Api, key: ServerKey
) -> None:
    ada = await register(api)
    other = await log_in(api, "ada")
    wanted = CreateTokenRequest(name="ci", scopes=["user:read"])
    made = await api.tokens.CreateToken(wanted, metadata=ada.auth)
    await request_reset(api, "ada")
    [link] = await read_tokens(api, key, "reset_password")
    before = await api.fetch("SELECT id, expires_at FROM sessions ORDER BY created_at LIMIT 1")
    changed = await change_password(api, ada)
    for old in (ada, other):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await read_me(api, old)
    await read_me(api, changed)
    live = await api.fetch("SELECT id, expires_at FROM sessions WHERE revoked_at IS NULL")
    assert live == before
    token = (("authorization", f"Bearer {made.secret}"),)
    await api.access.WhoAmI(WhoAmIRequest(), metadata=token)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await reset(api, link)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await log_in(api, "ada", PASSWORD)
    await log_in(api, "ada", NEW)
    rows = await api.fetch(
        """SELECT a.* FROM audit_log a JOIN audit_log b USING (request_id)
           WHERE b.action = 'password.changed'"""
    )
    assert sorted(row["action"] for row in rows) == ["password.changed", "session.ended"]
    assert {row["actor_id"] for row in rows} == {ada.id}
    assert [address for address, _ in await read_mails(api, key, "password_changed")] == [
        "ada@example.com"
    ]


async def test_a_wrong_password_changes_nothing_and_is_counted(api: Api) -> None:
    ada = await register(api)
    other = await log_in(api, "ada")
    await api.fetch(
        """INSERT INTO login_throttles (bucket, failures)
           SELECT 'sudo ' || id, 9 FROM sessions ORDER BY created_at LIMIT 1"""
    )
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await change_password(api, ada, current="wrong")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
        await change_password(api, ada)
    # Another session of the account has attempts of its own.
    await change_password(api, other)


async def test_an_api_token_changes_no_password(api: Api) -> None:
    ada = await register(api)
    token = await api.api_token(ada, "user:write")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await change_password(api, token)


async def test_a_reset_does_not_pass_the_second_factor_by(api: Api, key: ServerKey) -> None:
    guarded = await Guarded.make(api, "ada")
    await request_reset(api, "ada")
    [token] = await read_tokens(api, key, "reset_password")
    unfinished = await guarded.begin()
    await reset(api, token)
    await guarded.fail(unfinished)
    assert (await guarded.complete(await guarded.begin(NEW))).token


async def test_with_a_second_factor_a_password_alone_changes_none(api: Api) -> None:
    guarded = await Guarded.make(api)
    with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
        await change_password(api, await api.session(guarded.account, sudo=False))
    await change_password(api, await api.session(guarded.account))


async def test_passwords_are_held_to_the_rules(api: Api, key: ServerKey) -> None:
    ada = await register(api)
    await request_reset(api, "ada")
    [token] = await read_tokens(api, key, "reset_password")
    for field, current, new in (
        ("current_password", "", NEW),
        ("current_password", "x" * 1025, NEW),
        ("new_password", PASSWORD, "short"),
        ("new_password", PASSWORD, "x" * 1025),
        ("new_password", PASSWORD, "Password1234"),
        ("new_password", PASSWORD, "ADA@example.com"),
    ):
        calls: list[Awaitable[object]] = [change_password(api, ada, new, current)]
        if field == "new_password":
            calls.append(reset(api, token, new))
        for call in calls:
            with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
                await call
            assert refusal.detail(BadRequest).field_violations[0].field == field
    # The link is not used up by that.
    await reset(api, token)


@pytest.mark.parametrize("is_reset", [True, False])
async def test_a_new_password_ends_a_change_of_the_address(
    api: Api, key: ServerKey, is_reset: bool
) -> None:
    """Whoever has asked for it with the old password would take the account over."""
    ada = await register(api)
    await update(api, ada, email="thief@example.org")
    [change] = await read_tokens(api, key, "change_email")
    if is_reset:
        await request_reset(api, "ada")
        [link] = await read_tokens(api, key, "reset_password")
        await reset(api, link)
        ada = await log_in(api, "ada", NEW)
    else:
        ada = await change_password(api, ada)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await verify(api, change)
    assert (await read_me(api, ada)).pending_email == ""


async def test_a_password_that_was_ended_proves_nothing(api: Api) -> None:
    ada = await register(api)
    await api.fetch("UPDATE user_credentials SET force_password_change = true")
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await change_password(api, ada)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.sessions.Elevate(ElevateRequest(password=PASSWORD), metadata=ada.auth)
