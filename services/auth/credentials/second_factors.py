"""The second factor of an account: enrolled, confirmed, used and taken away.

Secrets are kept sealed with the server's key, for their account alone; of recovery codes, hashes are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from dits.auth.v1 import mfa_service_pb2 as pb

from services.auth.credentials import recovery_codes, totp
from services.auth.credentials.locked_accounts import lock_caller
from services.auth.credentials.sessions import end_all_sessions
from services.auth.mail.notices import Addressee, mail_notice
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import invalid_field, mfa_not_enrolled, not_found
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

WRONG_CODE = "is not the code of this moment: look at the clock of the authenticator"


@dataclass(frozen=True, slots=True)
class TotpCode:
    """Six digits, said to be what the authenticator shows."""

    code: str = field(repr=False)
    method = "totp"


@dataclass(frozen=True, slots=True)
class RecoveryCode:
    """What is said to be one of the recovery codes, folded."""

    code: str = field(repr=False)
    method = "recovery_code"


def parse_totp_code(name: str, code: str) -> TotpCode:
    """Returns the code of a request. Raises INVALID_FIELD."""
    if not totp.is_code(code):
        raise invalid_field(name, f"must have {totp.DIGITS} digits")
    return TotpCode(code)


def parse_recovery_code(name: str, code: str) -> RecoveryCode:
    """Returns the code of a request. Raises INVALID_FIELD."""
    folded = recovery_codes.fold_code(code)
    if folded is None:
        raise invalid_field(name, "has not the form of a recovery code")
    return RecoveryCode(folded)


async def describe_factor(connection: Connection, user_id: UUID) -> pb.GetMfaResponse:
    """Returns what an account has."""
    row = await connection.fetchrow(Q.read_state, user_id)
    if row is None:
        return pb.GetMfaResponse()
    return pb.GetMfaResponse(enabled=row["mfa_enabled"], recovery_codes_left=row["codes_left"])


async def enroll_totp(connection: Connection, call: Call, key: ServerKey) -> pb.EnrollTotpResponse:
    """Makes a secret that the caller has to confirm."""
    caller = call.caller
    await lock_caller(connection, call)
    secret = totp.make_secret()
    sealed = key.seal(secret, secret_context(caller.user_id))
    await connection.execute(Q.store_pending, caller.user_id, sealed)
    return pb.EnrollTotpResponse(
        secret=totp.describe_secret(secret), uri=totp.make_uri(secret, caller.username)
    )


async def confirm_totp(
    connection: Connection, call: Call, key: ServerKey, code: TotpCode
) -> Sequence[str]:
    """Makes the enrolled secret the caller's second factor; returns the recovery codes.

    Ends the other sessions. Raises MFA_NOT_ENROLLED or INVALID_FIELD.
    """
    caller = call.caller
    await lock_caller(connection, call)
    row = await connection.fetchrow(Q.read_pending, caller.user_id)
    secret = key.unseal(row["sealed"], secret_context(caller.user_id)) if row else None
    if row is None or secret is None:
        raise mfa_not_enrolled()
    step = totp.find_step(secret, code.code, row["seconds"])
    if step is None:
        raise invalid_field("code", WRONG_CODE)
    codes = recovery_codes.make_codes()
    hashes = [recovery_codes.hash_code(each) for each in codes]
    await connection.execute(Q.enable, caller.user_id, step, hashes)
    await _audit(connection, call, AuditAction.MFA_ENABLED)
    await _tell_owner(connection, key, caller.user_id, "added, and your other sessions have ended")
    await end_all_sessions(connection, call, caller.user_id, caller.credential_id)
    return codes


async def disable_totp(connection: Connection, call: Call, key: ServerKey) -> None:
    """Takes the caller's second factor away, if there is one."""
    await lock_caller(connection, call)
    if await connection.fetchval(Q.disable, call.caller.user_id):
        await _audit(connection, call, AuditAction.MFA_DISABLED)
        await _tell_owner(connection, key, call.caller.user_id, "taken away")


async def reset_second_factor(database: Database, key: ServerKey, username: str) -> bool:
    """Takes the second factor of an account away, for the operator; returns whether there was one.

    Raises INVALID_FIELD, NOT_FOUND.
    """
    name = validation.username("username", username).lower()

    async def reset(connection: Connection) -> bool:
        account = await connection.fetchrow(Q.lock_named_account, name)
        if account is None:
            raise not_found("user", username)
        if not await connection.fetchval(Q.disable, account["id"]):
            return False
        await audit(
            connection, None, AuditAction.MFA_DISABLED, "user", account["id"], account["username"]
        )
        await _tell_owner(connection, key, account["id"], "taken away by the operator")
        return True

    return await database.transaction(reset)


async def replace_recovery_codes(
    connection: Connection, call: Call, key: ServerKey
) -> Sequence[str]:
    """Gives the caller other recovery codes. Raises MFA_NOT_ENROLLED."""
    codes = recovery_codes.make_codes()
    hashes = [recovery_codes.hash_code(each) for each in codes]
    await lock_caller(connection, call)
    if not await connection.fetchval(Q.replace_codes, call.caller.user_id, hashes):
        raise mfa_not_enrolled()
    await _audit(connection, call, AuditAction.MFA_RECOVERY_CODES_REPLACED)
    await _tell_owner(connection, key, call.caller.user_id, "other recovery codes")
    return codes


async def use_code(
    connection: Connection, key: ServerKey, user_id: UUID, code: TotpCode | RecoveryCode
) -> bool:
    """Uses a code up, if the transaction commits; False if it is wrong, was used, or is too old.

    Of two that use one code at once, the second waits for the first one's transaction. That a recovery
    code was used, its owner is told.
    """
    if isinstance(code, RecoveryCode):
        hashed = recovery_codes.hash_code(code.code)
        left = await connection.fetchval(Q.use_recovery_code, user_id, hashed)
        if left is not None:
            what = f"a recovery code was used, {left} are left"
            await _tell_owner(connection, key, user_id, what)
        return left is not None
    row = await connection.fetchrow(Q.hold_secret, user_id)
    secret = key.unseal(row["sealed"], secret_context(user_id)) if row else None
    if row is None or secret is None:
        return False
    step = totp.find_step(secret, code.code, row["seconds"])
    if step is None or step <= row["last_step"]:
        return False
    await connection.execute(Q.accept_step, user_id, step)
    return True


def secret_context(user_id: UUID) -> bytes:
    """Returns what binds a sealed secret to its account."""
    return b"totp\0" + user_id.bytes


async def _tell_owner(connection: Connection, key: ServerKey, user_id: UUID, what: str) -> None:
    """Mails the owner of an account what became of the second factor."""
    row = await connection.fetchrow(Q.find_addressee, user_id)
    if row is not None:
        await mail_notice(connection, key, "second_factor", Addressee.of(row), what=what)


async def _audit(connection: Connection, call: Call, action: AuditAction) -> None:
    await audit(connection, call, action, "user", call.caller.user_id, call.caller.username)
