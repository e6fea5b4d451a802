"""Codes and challenges are good once, also at two servers at the same moment."""

from __future__ import annotations

from dits.auth.v1 import mfa_service_pb2 as mpb
from dits.auth.v1.session_service_pb2 import CompleteMfaRequest

from shared.runtime.config import Settings
from tests.support.api import Api, running_suite
from tests.support.mfa import Guarded, enroll
from tests.support.rivals import other_transaction, together

ONCE = (1, ["UNAUTHENTICATED"] * 3)


async def test_four_at_two_servers_use_one_code_or_challenge(api: Api, settings: Settings) -> None:
    guarded = await Guarded.make(api)
    async with running_suite(api.dsn, settings) as other:
        servers = [api, other, api, other]
        code = guarded.code()
        requests = [
            CompleteMfaRequest(challenge=await guarded.begin(), totp_code=code) for _ in servers
        ]
        assert await _complete(servers, requests) == ONCE
        await guarded.forget_steps()
        spare = guarded.recovery_codes[0]
        requests = [
            CompleteMfaRequest(challenge=await guarded.begin(), recovery_code=spare)
            for _ in servers
        ]
        assert await _complete(servers, requests) == ONCE
        challenge = await guarded.begin()
        requests = [
            CompleteMfaRequest(challenge=challenge, recovery_code=code)
            for code in guarded.recovery_codes[1:5]
        ]
        assert await _complete(servers, requests) == ONCE
    # Of the codes that came too late, none is used up.
    left = "SELECT cardinality(mfa_recovery_codes_hash) FROM user_credentials"
    assert await api.value(left) == 8


async def _complete(
    servers: list[Api], requests: list[CompleteMfaRequest]
) -> tuple[int, list[str]]:
    return await together(
        *(
            server.sessions.CompleteMfa(request)
            for server, request in zip(servers, requests, strict=True)
        )
    )


async def test_a_login_meets_the_end_or_the_beginning_of_the_factor(api: Api) -> None:
    guarded = await Guarded.make(api)
    user = f"'{guarded.account.id}'"
    end = f"""UPDATE user_credentials SET mfa_enabled = FALSE, mfa_recovery_codes_hash = NULL
              WHERE user_id = {user}"""
    challenge = await guarded.begin()
    request = CompleteMfaRequest(challenge=challenge, totp_code=guarded.code())
    # The factor is taken away while its code is judged: the code counts for nothing any more.
    async with other_transaction(api, end, commits=True):
        outcome = await together(api.sessions.CompleteMfa(request))
    assert outcome == (0, ["UNAUTHENTICATED"])
    begin = f"UPDATE user_credentials SET mfa_enabled = TRUE WHERE user_id = {user}"
    # It comes back while somebody logs in with the password: there is no session without it.
    async with other_transaction(api, begin, commits=True):
        await guarded.begin()
    async with other_transaction(api, end, commits=False):
        await guarded.complete(challenge)


async def test_confirmations_are_one_after_the_other(api: Api) -> None:
    guarded = await Guarded.make(api)
    guarded.secret = await enroll(api, guarded.account)
    code = guarded.code()
    requests = [mpb.ConfirmTotpRequest(code=code) for _ in range(3)]
    outcome = await together(
        *(api.mfa.ConfirmTotp(each, metadata=guarded.account.auth) for each in requests)
    )
    assert outcome == (1, ["MFA_NOT_ENROLLED"] * 2)
