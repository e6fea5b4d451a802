"""Accounts under simultaneous changes: links are used once, and no session outlives its password."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from dits.auth.v1.mfa_service_pb2 import EnrollTotpRequest
from dits.auth.v1.organization_service_pb2 import CreateOrganizationRequest
from dits.auth.v1.token_service_pb2 import CreateTokenRequest
from grpc import StatusCode

from shared.runtime.server_key import ServerKey
from tests.support.accounts import PASSWORD
from tests.support.api import Api, refused
from tests.support.mailed_links import (
    NEW,
    change_password,
    delete_account,
    log_in,
    read_tokens,
    register,
    request_reset,
    reset,
    update,
    verify,
)
from tests.support.organizations import Studio, accept, verify_address
from tests.support.rivals import together
from tests.support.waiting import until_blocked


async def test_a_link_is_used_once(api: Api, key: ServerKey) -> None:
    await register(api)
    await request_reset(api, "ada")
    [verification] = await read_tokens(api, key, "verify_email")
    [token] = await read_tokens(api, key, "reset_password")
    won, lost = await together(*(verify(api, verification) for _ in range(4)))
    assert (won, lost) == (1, ["UNAUTHENTICATED"] * 3)
    passwords = [f"password number {number}" for number in range(4)]
    won, lost = await together(*(reset(api, token, password) for password in passwords))
    assert (won, lost) == (1, ["UNAUTHENTICATED"] * 3)
    logins = await together(*(log_in(api, "ada", password) for password in passwords))
    assert logins[0] == 1
    assert await api.value("SELECT count(*) FROM audit_log WHERE action = 'password.reset'") == 1


async def test_of_two_changes_of_a_password_one_wins(api: Api) -> None:
    ada = await register(api)
    other = await log_in(api, "ada")
    won, lost = await together(
        change_password(api, ada), change_password(api, other, "one more long secret")
    )
    assert won == 1
    # It came too late for its session, its password, or the look at it.
    assert set(lost) <= {"UNAUTHENTICATED", "CONTENTION"}
    assert await api.value("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == 1


@pytest.mark.parametrize("way", ["change", "reset"])
async def test_no_login_outlives_the_password_that_opened_it(
    api: Api, key: ServerKey, way: str
) -> None:
    ada = await register(api)
    await request_reset(api, "ada")
    [token] = await read_tokens(api, key, "reset_password")
    new = change_password(api, ada) if way == "change" else reset(api, token)
    # With the session that there is, no more than an account may have.
    logins = [log_in(api, "ada", PASSWORD) for _ in range(4)]
    await asyncio.gather(*logins[:2], new, *logins[2:], return_exceptions=True)
    assert await api.value("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == (
        1 if way == "change" else 0
    )
    await log_in(api, "ada", NEW)


async def test_both_links_of_a_change_of_address_at_once(api: Api, key: ServerKey) -> None:
    ada = await register(api)
    await verify_address(api, ada)
    await update(api, ada, email="ada@example.org")
    links = await read_tokens(api, key, "change_email")
    assert len(links) == 2
    waiting = await asyncio.gather(*(verify(api, link) for link in links))
    assert sorted(waiting) == [False, True]
    assert await api.value("SELECT email FROM users") == "ada@example.org"


async def test_two_accounts_take_one_address_at_once(api: Api, key: ServerKey) -> None:
    for name in ("ada", "bob"):
        await update(api, await register(api, name), email="new@example.org")
    links = await read_tokens(api, key, "change_email")
    won, lost = await together(*(verify(api, link) for link in links))
    assert (won, lost) == (1, ["NAME_TAKEN"])


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_two_owners_do_not_go_at_once(api: Api, is_deleted: bool) -> None:
    studio = await Studio.open(api, "admin")
    owner = studio.people["owner"]
    second = await studio.join("owner")
    goes = delete_account(api, second) if is_deleted else studio.leave(second)
    won, lost = await together(goes, delete_account(api, owner))
    assert (won, lost) == (1, ["LAST_OWNER"])
    assert list((await studio.roles()).values()).count("owner") == 1


async def test_nothing_begins_for_an_account_that_goes(api: Api, key: ServerKey) -> None:
    """In either order: who comes first is there, and the other one is refused."""
    studio = await Studio.open(api)
    for number in range(4):
        ada = await api.account()
        await verify_address(api, ada)
        invited = await studio.invite(studio.people["owner"], f"{ada.username}@example.com")
        other = await api.session(ada)
        create = CreateOrganizationRequest(name=f"new{number}")
        rivals = [
            delete_account(api, ada),
            accept(api, other, invitation_id=invited.id),
            api.organizations.CreateOrganization(create, metadata=other.auth),
            api.repository(other, "film"),
        ]
        await together(*(rivals if number % 2 else reversed(rivals)))
        left = await api.value(
            """SELECT (SELECT count(*) FROM organization_members m WHERE m.user_id = u.id)
                    + (SELECT count(*) FROM repositories r WHERE r.owner_id = u.id)
               FROM users u WHERE u.id = $1 AND u.status = 'deleted'""",
            ada.id,
        )
        assert left in (0, None)


async def test_nothing_is_added_to_an_account_that_goes(api: Api) -> None:
    """What was let in before the deletion, and gets to the account after it, finds no account."""
    ada = await register(api)
    await api.fetch("UPDATE sessions SET sudo_until = now() + interval '10 minutes'")
    holder, watcher = await asyncpg.connect(api.dsn), await asyncpg.connect(api.dsn)
    async with holder.transaction():
        await holder.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", ada.id)
        late = [
            asyncio.ensure_future(each)
            for each in (
                update(api, ada, name="Ada Lovelace"),
                api.tokens.CreateToken(
                    CreateTokenRequest(name="ci", scopes=["user:read"]), metadata=ada.auth
                ),
                api.mfa.EnrollTotp(EnrollTotpRequest(), metadata=ada.auth),
            )
        ]
        await until_blocked(watcher, len(late))
        await holder.execute(
            "UPDATE users SET status = 'deleted', deleted_at = now() WHERE id = $1", ada.id
        )
    for each in late:
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await each
    await holder.close()
    await watcher.close()
    assert await api.value("SELECT name FROM users") == "ada"
    assert await api.value("SELECT count(*) FROM api_tokens") == 0
