"""What stands beside a second factor: passwords, SSH keys, sudo."""

from __future__ import annotations

from dits.auth.v1 import mfa_service_pb2 as mpb
from dits.auth.v1 import session_service_pb2 as pb
from dits.auth.v1.account_service_pb2 import ChangePasswordRequest, ResetPasswordRequest
from grpc import StatusCode

from services.auth.credentials.one_time_tokens import Purpose, issue_token
from shared.db.pool import Database
from tests.support.accounts import PASSWORD
from tests.support.api import Account, Api, refused
from tests.support.mfa import Guarded
from tests.support.ssh import needs_ssh
from tests.support.ssh_accounts import add_key, log_in_with_key, login_request

NEW_PASSWORD = "another long enough secret"


async def test_a_password_gives_no_sudo_and_codes_do_once(api: Api) -> None:
    guarded = await Guarded.make(api)
    who = guarded.account
    await api.fetch("UPDATE sessions SET sudo_until = NULL WHERE user_id = $1", who.id)
    with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
        await api.mfa.DisableTotp(mpb.DisableTotpRequest(), metadata=who.auth)
    for request in (pb.ElevateRequest(password=PASSWORD), pb.ElevateRequest(totp_code="1234567")):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await api.sessions.Elevate(request, metadata=who.auth)
    elevate = pb.ElevateRequest(totp_code=guarded.code())
    await api.sessions.Elevate(elevate, metadata=who.auth)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.sessions.Elevate(elevate, metadata=who.auth)
    # A code that gave sudo opens no session.
    await guarded.fail(await guarded.begin(), totp_code=elevate.totp_code)


async def test_a_new_password_never_passes_it_by(api: Api) -> None:
    guarded = await Guarded.make(api)
    before = await guarded.begin()
    database = await Database.connect(api.dsn, service="test", size=1)
    async with database.connection() as connection:
        link = await issue_token(
            connection,
            Purpose.RESET_PASSWORD,
            guarded.account.id,
            email_key=f"{guarded.account.username}@example.com",
        )
    await database.close()
    await api.accounts.ResetPassword(
        ResetPasswordRequest(token=link.secret, new_password=NEW_PASSWORD)
    )
    # The challenge of the old password is void, too.
    await guarded.fail(before)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await guarded.begin()
    challenge = await guarded.begin(NEW_PASSWORD)
    session = await guarded.complete(challenge)
    opened = Account(guarded.account.id, guarded.account.username, session.token)
    await api.accounts.ChangePassword(
        ChangePasswordRequest(current_password=NEW_PASSWORD, new_password=PASSWORD),
        metadata=opened.auth,
    )
    await guarded.complete(await guarded.begin(), totp_code=guarded.code(1))


@needs_ssh
async def test_an_ssh_key_counts_as_both(api: Api) -> None:
    guarded = await Guarded.make(api)
    await add_key(api, guarded.account)
    await log_in_with_key(api, guarded.account.username)
    asked = await login_request(api, guarded.account.username)
    proof = pb.SshProof(challenge=asked.challenge, signature=asked.signature)
    await api.sessions.Elevate(pb.ElevateRequest(ssh=proof), metadata=guarded.account.auth)
