"""Sudo: what it is needed for, how a session gets it, and when it ends."""

from __future__ import annotations

from typing import Any

import grpc
from dits.auth.v1 import session_service_pb2 as pb
from dits.auth.v1.access_service_pb2 import CheckAccessRequest, WhoAmIRequest
from dits.auth.v1.token_service_pb2 import CreateTokenRequest
from dits.common.v1 import access_pb2
from dits.lock.v1.lock_service_pb2 import ForceReleaseLockRequest
from grpc import StatusCode

from shared.runtime.metrics import ACCESS_CACHE
from tests.support.accounts import PASSWORD, registration
from tests.support.api import Account, Api, read_error, refused
from tests.support.organizations import Studio as Organization
from tests.support.raw_calls import call_raw
from tests.support.rpcs import Rpc, rpcs
from tests.support.ssh import armor, make_key, make_security_keys, needs_ssh
from tests.support.ssh_accounts import add_key, login_request

GUARDED = [rpc for rpc in rpcs() if rpc.access.sudo != access_pb2.SUDO_UNSPECIFIED]
ALWAYS = {rpc.path for rpc in GUARDED if rpc.access.sudo == access_pb2.SUDO_ALWAYS}
WHOLE = [rpc for rpc in GUARDED if rpc.access.sudo != access_pb2.SUDO_CONDITIONAL]


async def _end_sudo(api: Api, account: Account) -> None:
    await api.fetch(
        "UPDATE sessions SET sudo_until = now() - interval '1 second' WHERE user_id = $1",
        account.id,
    )


async def _elevate(api: Api, account: Account, **proof: Any) -> Any:
    return await api.sessions.Elevate(pb.ElevateRequest(**proof), metadata=account.auth)


async def _left(api: Api, account: Account) -> float:
    answer = await api.access.CheckAccess(CheckAccessRequest(), metadata=account.auth)
    return float(answer.caller.sudo_left.ToSeconds())


async def _log_in(api: Api) -> Account:
    await api.accounts.Register(registration())
    session = (await api.sessions.Login(pb.LoginRequest(login="ada", password=PASSWORD))).session
    rows = await api.fetch("SELECT id FROM users")
    return Account(rows[0]["id"], "ada", session.token)


async def _reason(api: Api, rpc: Rpc, who: Account, repository: str) -> str:
    """Calls with nothing but the repository: whatever else is wrong is looked at later."""
    data = b""
    if rpc.access.repository_field:
        data = bytes([10, len(repository)]) + repository.encode()
    try:
        await call_raw(api, rpc.path, data, who.auth)
    except grpc.aio.AioRpcError as error:
        return read_error(error).reason
    return "OK"


async def test_the_rpcs_that_need_it_refuse_those_who_have_none(api: Api) -> None:
    ada = await api.account()
    scopes = {rpc.access.scope for rpc in WHOLE}
    token = await api.api_token(ada, *scopes)
    operator = await api.api_token(ada, *scopes, "site:admin")
    without = await api.session(ada, sudo=False)
    bob = await api.account()
    for rpc in WHOLE:
        # The one that deletes it is among them.
        repository = (await api.repository(ada)).id
        assert await _reason(api, rpc, without, repository) == "SUDO_REQUIRED", rpc.path
        expected = rpc.path in ALWAYS
        assert (await _reason(api, rpc, token, repository) == "SUDO_REQUIRED") == expected
        for who in (ada, operator):
            assert await _reason(api, rpc, who, repository) != "SUDO_REQUIRED"
        if rpc.access.repository_field:
            # That the repository is there is not told by it.
            assert await _reason(api, rpc, bob, repository) == "NOT_FOUND"


async def test_owners_and_names_of_organizations_need_it(api: Api) -> None:
    studio = await Organization.open(api, "member")
    owner = studio.people["owner"]
    other = await studio.join("owner")
    without = await api.session(owner, sudo=False)
    member = studio.people["member"]
    attempts = (
        lambda who: studio.update(who, name=f"{studio.name}x"),
        lambda who: studio.change_role(who, member, "owner"),
        lambda who: studio.change_role(who, other, "member"),
        lambda who: studio.remove(who, other),
        lambda who: studio.invite(who, "new@example.com", "owner"),
    )
    for attempt in attempts:
        with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
            await attempt(without)
    # What is no danger, goes on.
    await studio.update(without, display_name="New")
    await studio.change_role(without, member, "admin")
    await studio.change_role(without, member, "member")
    # Who lacks the right is told that, and not asked for a password.
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await attempts[1](await api.session(await studio.join("admin"), sudo=False))
    await studio.change_role(owner, member, "owner")


async def test_a_login_counts_and_a_password_gives_it_again(api: Api) -> None:
    ada = await _log_in(api)
    assert 590 < await _left(api, ada) <= 600
    await _end_sudo(api, ada)
    assert await _left(api, ada) == 0
    who = await api.access.WhoAmI(WhoAmIRequest(), metadata=ada.auth)
    assert not who.HasField("sudo_expire_time")
    wanted = CreateTokenRequest(name="ci", scopes=["repo:read"])
    with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
        await api.tokens.CreateToken(wanted, metadata=ada.auth)

    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await _elevate(api, ada, password="not the password")
    assert await _left(api, ada) == 0
    given = await _elevate(api, ada, password=PASSWORD)
    who = await api.access.WhoAmI(WhoAmIRequest(), metadata=ada.auth)
    assert who.sudo_expire_time == given.sudo_expire_time
    assert 590 < await _left(api, ada) <= 600
    made = await api.tokens.CreateToken(wanted, metadata=ada.auth)
    rows = await api.fetch("SELECT details FROM audit_log WHERE action = 'session.elevated'")
    assert [row["details"] for row in rows] == ['{"method": "password"}']

    # A token that it made goes on when sudo has ended; it has none itself.
    token = Account(ada.id, "ada", made.secret)
    assert await _left(api, token) == 0
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await _elevate(api, token, password=PASSWORD)


async def test_another_session_does_not_get_it(api: Api) -> None:
    ada = await api.account()
    other = await api.session(ada, sudo=False)
    assert await _left(api, ada) > 0
    assert await _left(api, other) == 0


@needs_ssh
async def test_an_ssh_key_gives_it_once_for_each_challenge(api: Api) -> None:
    ada, bob = await api.account("ada"), await api.account("bob")
    await add_key(api, ada)
    await _end_sudo(api, ada)
    await _end_sudo(api, bob)
    for login in ("ada", "ada@example.com"):
        asked = await login_request(api, login)
        proof = pb.SshProof(challenge=asked.challenge, signature=asked.signature)
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await _elevate(api, bob, ssh=proof)
        await _elevate(api, ada, ssh=proof)
        await _end_sudo(api, ada)
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await _elevate(api, ada, ssh=proof)
        # It is good for one thing: a login or sudo.
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await api.sessions.LoginWithSsh(asked)
    of_bob = await login_request(api, "bob")
    foreign = pb.SshProof(challenge=of_bob.challenge, signature=of_bob.signature)
    strange = await login_request(api, "ada", make_key("ed25519", 1))
    unknown = pb.SshProof(challenge=strange.challenge, signature=strange.signature)
    for proof in (foreign, unknown):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await _elevate(api, ada, ssh=proof)
    assert await _left(api, ada) == 0


async def test_proofs_that_are_none(api: Api) -> None:
    ada = await api.account()
    good = armor(make_security_keys()[0].sign(b"x", "dits-login-v1"))
    for proof in (
        {},
        {"password": ""},
        {"password": "x" * 1025},
        {"ssh": pb.SshProof(challenge="", signature=good)},
        {"ssh": pb.SshProof(challenge="x", signature="none")},
    ):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await _elevate(api, ada, **proof)
    other = await api.session(ada, sudo=False)
    for _ in range(10):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await _elevate(api, ada, ssh=pb.SshProof(challenge="x", signature=good))
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
        await _elevate(api, ada, ssh=pb.SshProof(challenge="x", signature=good))
    # It is the session's own limit.
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await _elevate(api, other, ssh=pb.SshProof(challenge="x", signature=good))


async def _release(api: Api, who: Account, repository: str) -> None:
    """A forced release that is let in, and finds no lock."""
    request = ForceReleaseLockRequest(
        repository=repository, lock_id="00000000-0000-0000-0000-000000000001", reason="away"
    )
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.locks.ForceReleaseLock(request, metadata=who.auth)


async def test_other_services_hear_of_it_at_once_and_ask_no_more(api: Api) -> None:
    """The kept answer that says no is asked for again; the one that says yes is not."""
    ada = await api.account()
    repository = (await api.repository(ada)).id
    without = await api.session(ada, sudo=False)
    request = ForceReleaseLockRequest(repository=repository)
    for _ in range(2):
        with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
            await api.locks.ForceReleaseLock(request, metadata=without.auth)
    # No trigger tells of it, as if the hint were lost.
    await api.fetch(
        "UPDATE sessions SET sudo_until = now() + interval '1 minute' WHERE user_id = $1", ada.id
    )
    await _release(api, without, repository)
    asked = ACCESS_CACHE.labels("miss")._value.get()
    for _ in range(3):
        await _release(api, without, repository)
    assert ACCESS_CACHE.labels("miss")._value.get() == asked
