"""MfaService, and the logins that it guards."""

from __future__ import annotations

from datetime import timedelta

import pytest
from dits.auth.v1 import mfa_service_pb2 as mpb
from dits.auth.v1 import session_service_pb2 as pb
from dits.auth.v1.account_service_pb2 import (
    GetMeRequest,
)
from grpc import StatusCode

from services.auth.credentials import one_time_tokens
from services.auth.credentials.one_time_tokens import Purpose
from shared.runtime.server_key import ServerKey
from tests.support.accounts import PASSWORD
from tests.support.api import Account, Api, refused
from tests.support.mailed_links import read_mails
from tests.support.mfa import Guarded, enroll, give_password


async def _state(api: Api, account: Account) -> tuple[bool, int]:
    found = await api.mfa.GetMfa(mpb.GetMfaRequest(), metadata=account.auth)
    return found.enabled, found.recovery_codes_left


async def _actions(api: Api, *actions: str) -> list[str]:
    query = "SELECT action FROM audit_log WHERE action = ANY ($1) ORDER BY timestamp, id"
    return [row["action"] for row in await api.fetch(query, list(actions))]


async def test_a_secret_counts_once_it_is_confirmed(api: Api) -> None:
    ada = await api.account()
    await give_password(api, ada)
    assert await _state(api, ada) == (False, 0)
    with refused(StatusCode.FAILED_PRECONDITION, "MFA_NOT_ENROLLED"):
        await api.mfa.ConfirmTotp(mpb.ConfirmTotpRequest(code="123456"), metadata=ada.auth)
    with refused(StatusCode.FAILED_PRECONDITION, "MFA_NOT_ENROLLED"):
        request = mpb.RegenerateRecoveryCodesRequest()
        await api.mfa.RegenerateRecoveryCodes(request, metadata=ada.auth)
    guarded = Guarded(api, ada, await enroll(api, ada), [])
    # Not yet: nobody has shown that an authenticator has it.
    login = pb.LoginRequest(login=ada.username, password=PASSWORD)
    assert (await api.sessions.Login(login)).WhichOneof("outcome") == "session"
    for code in (guarded.wrong_code(), "1234567", "12345", "abcdef", ""):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await api.mfa.ConfirmTotp(mpb.ConfirmTotpRequest(code=code), metadata=ada.auth)
    assert await _state(api, ada) == (False, 0)
    await guarded.confirm()
    assert (await api.sessions.Login(login)).WhichOneof("outcome") == "mfa_challenge"


async def test_a_second_factor_from_its_beginning_to_its_end(api: Api) -> None:
    ada = await api.account()
    await give_password(api, ada)
    other = await api.session(ada)
    guarded = Guarded(api, ada, await enroll(api, ada), [])
    await guarded.confirm()
    assert len(set(guarded.recovery_codes)) == 10
    assert await _state(api, ada) == (True, 10)
    # What a password alone has opened has ended; the session that enrolled goes on.
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.accounts.GetMe(GetMeRequest(), metadata=other.auth)
    session = await guarded.complete(await guarded.begin())
    opened = Account(ada.id, ada.username, session.token)
    assert (await api.accounts.GetMe(GetMeRequest(), metadata=opened.auth)).user.username == (
        ada.username
    )

    await api.mfa.DisableTotp(mpb.DisableTotpRequest(), metadata=opened.auth)
    await api.mfa.DisableTotp(mpb.DisableTotpRequest(), metadata=opened.auth)
    assert await _state(api, ada) == (False, 0)
    login = pb.LoginRequest(login=ada.username, password=PASSWORD)
    assert (await api.sessions.Login(login)).WhichOneof("outcome") == "session"
    assert await _actions(api, "mfa.enabled", "mfa.disabled") == ["mfa.enabled", "mfa.disabled"]
    row = await api.fetch("SELECT * FROM user_credentials WHERE user_id = $1", ada.id)
    assert row[0]["mfa_secret_encrypted"] is row[0]["mfa_recovery_codes_hash"] is None
    methods = await api.fetch(
        "SELECT details ->> 'method' AS method FROM audit_log WHERE action = 'session.opened'"
    )
    assert [row["method"] for row in methods].count("password+totp") == 1


async def test_a_code_opens_one_session(api: Api) -> None:
    guarded = await Guarded.make(api)
    first, second = await guarded.begin(), await guarded.begin()
    code = guarded.code()
    await guarded.fail(first, totp_code=guarded.wrong_code())
    # The challenge is still good after a wrong code, and used up by a right one.
    await guarded.complete(first, totp_code=code)
    await guarded.fail(second, totp_code=code)
    await guarded.fail(first, totp_code=guarded.code(1))
    await guarded.complete(second, totp_code=guarded.code(1))
    # None before the last one that was accepted.
    await guarded.fail(await guarded.begin(), totp_code=guarded.code())


async def test_recovery_codes_open_one_session_each(api: Api) -> None:
    guarded = await Guarded.make(api)
    first, second = guarded.recovery_codes[:2]
    await guarded.complete(await guarded.begin(), recovery_code=first)
    challenge = await guarded.begin()
    await guarded.fail(challenge, recovery_code=first)
    await guarded.fail(challenge, recovery_code="abcd-efgh-jkmn-pqrs")
    await guarded.complete(challenge, recovery_code=second.upper().replace("-", ""))
    assert await _state(api, guarded.account) == (True, 8)
    request = mpb.RegenerateRecoveryCodesRequest(request_id="11111111-1111-4111-8111-111111111111")
    made = await api.mfa.RegenerateRecoveryCodes(request, metadata=guarded.account.auth)
    assert await api.mfa.RegenerateRecoveryCodes(request, metadata=guarded.account.auth) == made
    assert await _state(api, guarded.account) == (True, 10)
    await guarded.fail(await guarded.begin(), recovery_code=guarded.recovery_codes[2])
    await guarded.complete(await guarded.begin(), recovery_code=made.recovery_codes[0])
    assert await _actions(api, "mfa.recovery_codes_replaced") == ["mfa.recovery_codes_replaced"]
    stored = await api.value("SELECT mfa_recovery_codes_hash::text FROM user_credentials")
    assert not any(code.replace("-", "") in stored for code in made.recovery_codes)


async def test_challenges_that_are_none(api: Api) -> None:
    ada, bob = await Guarded.make(api), await Guarded.make(api)
    issued = await api.sessions.CreateSshChallenge(
        pb.CreateSshChallengeRequest(login=ada.account.username)
    )
    of_ada = await ada.begin()
    for challenge in ("x", issued.challenge, of_ada[:-4] + "AAA=", f" {of_ada}"):
        await ada.fail(challenge)
    # A code of one account does not complete the login of another.
    await bob.fail(of_ada, totp_code=bob.code())
    for request in (
        pb.CompleteMfaRequest(challenge=of_ada),
        pb.CompleteMfaRequest(challenge="", totp_code="123456"),
        pb.CompleteMfaRequest(challenge=of_ada, totp_code="1234567"),
        pb.CompleteMfaRequest(challenge=of_ada, totp_code=""),
        pb.CompleteMfaRequest(challenge=of_ada, recovery_code="abcd"),
    ):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await api.sessions.CompleteMfa(request)
    await api.fetch("UPDATE users SET status = 'suspended' WHERE id = $1", ada.account.id)
    await ada.fail(of_ada)


async def test_a_challenge_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = await Guarded.make(api)
    assert one_time_tokens.LIFE[Purpose.MFA_CHALLENGE] == timedelta(seconds=60)
    ended = {**one_time_tokens.LIFE, Purpose.MFA_CHALLENGE: timedelta(seconds=-1)}
    monkeypatch.setattr("services.auth.credentials.challenges.LIFE", ended)
    await guarded.fail(await guarded.begin())


async def test_guesses_are_counted(api: Api) -> None:
    guarded = await Guarded.make(api)
    # As from a network that the account never logged in from.
    challenge = await guarded.begin()
    for _ in range(10):
        await guarded.fail(challenge, totp_code=guarded.wrong_code())
    for code in (guarded.wrong_code(), guarded.code()):
        with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
            await guarded.complete(challenge, totp_code=code)
    # They count for this, and for nothing else: the session of the owner goes on, and gets sudo.
    request = pb.ElevateRequest(totp_code=guarded.code())
    await api.sessions.Elevate(request, metadata=guarded.account.auth)


async def test_a_new_authenticator_takes_the_place_of_the_old(api: Api) -> None:
    guarded = await Guarded.make(api)
    old, codes = guarded.secret, guarded.recovery_codes
    new = await enroll(api, guarded.account)
    # Until it is confirmed, the old one counts.
    await guarded.complete(await guarded.begin())
    guarded.secret = new
    await guarded.confirm()
    await guarded.complete(await guarded.begin())
    guarded.secret = old
    challenge = await guarded.begin()
    await guarded.fail(challenge, totp_code=guarded.code(1))
    await guarded.fail(challenge, recovery_code=codes[0])


async def test_secrets_are_sealed_for_their_account(api: Api) -> None:
    ada, bob = await Guarded.make(api), await Guarded.make(api)
    await api.fetch(
        """UPDATE user_credentials SET mfa_secret_encrypted =
               (SELECT mfa_secret_encrypted FROM user_credentials WHERE user_id = $1)
           WHERE user_id = $2""",
        ada.account.id, bob.account.id,
    )  # fmt: skip
    await bob.fail(await bob.begin(), totp_code=ada.code())
    rows = await api.fetch("SELECT mfa_secret_encrypted AS sealed FROM user_credentials")
    assert not any(ada.secret in row["sealed"] for row in rows)


async def test_the_owner_is_told_what_became_of_the_second_factor(api: Api) -> None:
    guarded = await Guarded.make(api, "ada")
    ada = guarded.account
    await guarded.fail(await guarded.begin(), recovery_code="abcd-efgh-jkmn-pqrs")
    await guarded.complete(await guarded.begin())
    await guarded.complete(await guarded.begin(), recovery_code=guarded.recovery_codes[0])
    request = mpb.RegenerateRecoveryCodesRequest()
    await api.mfa.RegenerateRecoveryCodes(request, metadata=ada.auth)
    for _ in range(2):
        await api.mfa.DisableTotp(mpb.DisableTotpRequest(), metadata=ada.auth)
    key = ServerKey(bytes.fromhex("5e" * 32))
    told = await read_mails(api, key, "second_factor")
    assert {address for address, _ in told} == {"ada@example.com"}
    assert [values["what"] for _, values in told] == [
        "added, and your other sessions have ended",
        "a recovery code was used, 9 are left",
        "other recovery codes",
        "taken away",
    ]
