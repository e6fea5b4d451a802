"""SessionService: logging in with an SSH key."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import grpc
import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.key_service_pb2 import AddSshKeyRequest, DeleteSshKeyRequest
from dits.auth.v1.session_service_pb2 import (
    CreateSshChallengeRequest,
    IssuedSession,
    LoginWithSshRequest,
)
from grpc import StatusCode

from services.auth.access.credential_uses import CredentialUses
from services.auth.background.credential_uses import CredentialUseStore
from services.auth.credentials.one_time_tokens import LIFE, Purpose
from shared.db.pool import Database
from tests.support.api import Account, Api, Refusal, read_error, refused
from tests.support.ssh import TAKEN, armor, make_key, make_security_keys, needs_ssh, sign
from tests.support.ssh_accounts import add_key, key_challenge, log_in_with_key, login_request

pytestmark = needs_ssh


async def _refuse(api: Api, request: LoginWithSshRequest) -> Refusal:
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED") as refusal:
        await api.sessions.LoginWithSsh(request)
    return refusal


@pytest.mark.parametrize("kind", TAKEN)
async def test_a_key_opens_its_account(api: Api, kind: str) -> None:
    ada = await api.account("ada")
    await add_key(api, ada, make_key(kind))
    for login in ("ada", "ADA", "Ada@Example.com"):
        session = await log_in_with_key(api, login, make_key(kind))
        assert (session.user_id, session.username) == (str(ada.id), "ada")
        opened = Account(ada.id, "ada", session.token)
        me = await api.accounts.GetMe(GetMeRequest(), metadata=opened.auth)
        assert me.user.username == "ada"
    rows = await api.fetch("SELECT details FROM audit_log WHERE action = 'session.opened'")
    assert [row["details"] for row in rows] == ['{"method": "ssh_key"}'] * 3


async def test_a_security_key_opens_its_account(api: Api) -> None:
    ada = await api.account("ada")
    stick = make_security_keys()[0]
    challenge = await key_challenge(api, ada)
    proof = armor(stick.sign(challenge.encode(), "dits-key-v1"))
    await api.keys.AddSshKey(
        AddSshKeyRequest(name="stick", public_key=stick.line, challenge=challenge, signature=proof),
        metadata=ada.auth,
    )
    issued = await api.sessions.CreateSshChallenge(CreateSshChallengeRequest(login="ada"))
    for flags, is_good in ((0, False), (1, True)):
        stick.flags = flags
        signature = armor(stick.sign(issued.challenge.encode(), issued.namespace))
        request = LoginWithSshRequest(challenge=issued.challenge, signature=signature)
        if is_good:
            await api.sessions.LoginWithSsh(request)
        else:
            await _refuse(api, request)


async def test_all_failures_look_alike(api: Api) -> None:
    ada, bob, sue = [await api.account(name) for name in ("ada", "bob", "sue")]
    mine, others, hers = [make_key("ed25519", n) for n in range(3)]
    await add_key(api, ada, mine)
    await add_key(api, bob, others)
    await add_key(api, sue, hers)
    await api.fetch("UPDATE users SET status = 'suspended' WHERE username = 'sue'")
    wrong_name = await login_request(api, "ada", mine)
    wrong_name.signature = sign(mine, wrong_name.challenge, "dits-key-v1")
    wrong_text = await login_request(api, "ada", mine)
    wrong_text.signature = sign(mine, "x", "dits-login-v1")
    for_keys = await login_request(api, "ada", mine)
    for_keys.challenge = await key_challenge(api, ada)
    for_keys.signature = sign(mine, for_keys.challenge, "dits-login-v1")
    forged = await login_request(api, "ada", mine)
    forged.challenge = "00000000-0000-0000-0000-000000000000" + forged.challenge[36:]
    forged.signature = sign(mine, forged.challenge, "dits-login-v1")
    attempts = {
        "unknown account": await login_request(api, "nobody", mine),
        "unknown key": await login_request(api, "ada", make_key("ed25519", 9)),
        "another account's key": await login_request(api, "ada", others),
        "another account": await login_request(api, "bob", mine),
        "suspended": await login_request(api, "sue", hers),
        "namespace": wrong_name,
        "text": wrong_text,
        "another purpose": for_keys,
        "another server": forged,
        "no challenge": LoginWithSshRequest(challenge="é", signature=wrong_text.signature),
    }
    told = {}
    for what, request in attempts.items():
        refusal = await _refuse(api, request)
        told[what] = str((refusal.message, refusal.metadata, len(refusal.details)))
    assert len(set(told.values())) == 1, told


async def test_a_challenge_opens_one_session(api: Api) -> None:
    ada = await api.account("ada")
    await add_key(api, ada)
    request = await login_request(api, "ada")
    results = await asyncio.gather(
        *(api.sessions.LoginWithSsh(request) for _ in range(4)), return_exceptions=True
    )
    refusals = [read_error(r).reason for r in results if isinstance(r, grpc.aio.AioRpcError)]
    assert refusals == ["UNAUTHENTICATED"] * 3
    await _refuse(api, request)
    opened = "SELECT count(*) FROM audit_log WHERE action = 'session.opened'"
    assert await api.value(opened) == 1


async def test_a_challenge_ends_after_a_minute(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await api.account("ada")
    await add_key(api, ada)
    issued = await api.sessions.CreateSshChallenge(CreateSshChallengeRequest(login="ada"))
    life = issued.expire_time.ToMicroseconds() / 1e6 - float(
        await api.value("SELECT extract(epoch FROM clock_timestamp())")
    )
    assert 50 < life <= 60
    monkeypatch.setitem(LIFE, Purpose.SSH_CHALLENGE, timedelta(0))
    await _refuse(api, await login_request(api, "ada"))


async def test_a_deleted_key_opens_nothing(api: Api) -> None:
    ada = await api.account("ada")
    added = await add_key(api, ada)
    request = await login_request(api, "ada")
    await api.keys.DeleteSshKey(DeleteSshKeyRequest(key_id=added.id), metadata=ada.auth)
    await _refuse(api, request)


async def test_attempts_are_counted_with_those_of_passwords(api: Api) -> None:
    ada = await api.account("ada")
    await add_key(api, ada)
    await api.fetch(
        "INSERT INTO login_throttles (bucket, failures) VALUES ('login ada from 127.0.0.0/24', 9)"
    )
    good = await login_request(api, "ada")
    await _refuse(api, await login_request(api, "ada", make_key("ed25519", 1)))
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
        await api.sessions.LoginWithSsh(good)
    # Strangers cannot close the login of a device that has logged in.
    await api.fetch("DELETE FROM login_throttles")
    session: IssuedSession = await log_in_with_key(api, "ada")
    left = "SELECT count(*) FROM login_throttles WHERE bucket ~ 'login ada'"
    assert await api.value(left) == 0
    await api.fetch(
        """INSERT INTO login_throttles (bucket, failures, blocked_until)
           VALUES ('login ada from 127.0.0.0/24', 50, now() + interval '1 minute')"""
    )
    known = await login_request(api, "ada")
    known.device_token = session.device_token
    await api.sessions.LoginWithSsh(known)


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": ""},
        {"signature": "x" * 20_000},
        {"challenge": ""},
        {"challenge": "x" * 8193},
        {"device_name": "x" * 256},
    ],
)
async def test_bad_fields(api: Api, changes: dict[str, str]) -> None:
    request = await login_request(api, "ada")
    for name, value in changes.items():
        setattr(request, name, value)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.sessions.LoginWithSsh(request)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.sessions.CreateSshChallenge(CreateSshChallengeRequest(login=""))


async def test_the_last_use_is_stored(api: Api) -> None:
    ada = await api.account("ada")
    added = await add_key(api, ada)
    uses = CredentialUses()
    uses.add_ssh_key(uuid.UUID(added.id))
    database = await Database.connect(api.dsn, service="test", size=1)
    await CredentialUseStore(database, uses).store()
    await database.close()
    assert not uses.drain()
    stored = "SELECT last_used_at > now() - interval '1 min' FROM ssh_keys"
    assert await api.value(stored) is True
