"""Sudo: a session proves again who makes its calls, and for ten minutes may do what is dangerous."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar
from uuid import UUID

from dits.auth.v1 import session_service_pb2 as pb

from services.auth.credentials import throttles
from services.auth.credentials.challenges import MAX_CHARACTERS, Challenges
from services.auth.credentials.locked_accounts import lock_caller
from services.auth.credentials.one_time_tokens import Purpose
from services.auth.credentials.passwords import MOST_BYTES, Hasher
from services.auth.credentials.second_factors import TotpCode, parse_totp_code, use_code
from services.auth.credentials.ssh_keys import parse_signature_field
from services.auth.credentials.ssh_login import find_signer, use_up
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import DomainError, invalid_field, unauthenticated
from shared.formats.sshsig import SshSignature
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

WRONG = "this does not prove who you are"

# Uses a proof up, in the transaction in which it counts.
Spend = Callable[[Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PasswordProof:
    """A password, said to be the account's."""

    method: ClassVar = "password"
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SshProof:
    """A challenge and what is said to be its signature by a key of the account."""

    method: ClassVar = "ssh_key"
    challenge: str
    signature: SshSignature


Proof = PasswordProof | SshProof | TotpCode


def parse_proof(request: pb.ElevateRequest) -> Proof:
    """Returns the proof of a request. Raises INVALID_FIELD."""
    match request.WhichOneof("proof"):
        case "password":
            if not 1 <= len(request.password.encode()) <= MOST_BYTES:
                raise invalid_field("password", f"must have 1 to {MOST_BYTES} bytes")
            return PasswordProof(request.password)
        case "totp_code":
            return parse_totp_code("totp_code", request.totp_code)
        case "ssh":
            return SshProof(
                validation.text(
                    "ssh.challenge", request.ssh.challenge, least=1, most=MAX_CHARACTERS
                ),
                parse_signature_field(request.ssh.signature),
            )
        case _:
            raise invalid_field("proof", "must be set")


class Elevation:
    """Gives sessions sudo. Attempts are counted for each session, so that no other can use them up."""

    def __init__(
        self,
        database: Database,
        key: ServerKey,
        hasher: Hasher,
        challenges: Challenges,
        note_use: Callable[[UUID], None],
    ) -> None:
        self._database = database
        self._key = key
        self._hasher = hasher
        self._challenges = challenges
        self._note_use = note_use

    async def elevate(self, call: Call, proof: Proof) -> pb.ElevateResponse:
        """Gives the session of the call sudo. Raises UNAUTHENTICATED or RATE_LIMITED."""
        session_id = call.caller.credential_id
        buckets = throttles.proof_buckets(session_id)
        await throttles.reserve(self._database, buckets)
        spend = await self._judge(call, proof, buckets)

        async def give(connection: Connection) -> pb.ElevateResponse:
            # Nobody changes the proofs of a locked account.
            await lock_caller(connection, call)
            await spend(connection)
            until = await connection.fetchval(Q.elevate_session, session_id, call.caller.user_id)
            if until is None:
                raise unauthenticated()
            await audit(
                connection, call, AuditAction.SESSION_ELEVATED, "session", session_id, "",
                method=proof.method,
            )  # fmt: skip
            await throttles.accept(connection, buckets)
            return pb.ElevateResponse(sudo_expire_time=until)

        return await self._database.transaction(give)

    async def _judge(self, call: Call, proof: Proof, buckets: Sequence[throttles.Bucket]) -> Spend:
        """Returns what uses up a proof that is good. Raises UNAUTHENTICATED."""
        user_id = call.caller.user_id
        if isinstance(proof, SshProof):
            return await self._judge_signature(user_id, proof)
        if isinstance(proof, TotpCode):
            return partial(_spend_code, key=self._key, user_id=user_id, code=proof)
        row = await self._database.fetchrow(Q.read_password, user_id)
        phc = None if row is None else row["password_hash"]
        if row is not None and row["mfa_enabled"]:
            await self._give_back(buckets)
            raise invalid_field("password", "is not enough for an account with a second factor")
        try:
            fits = await self._hasher.verify(phc, proof.password, is_known=True)
        except DomainError:
            await self._give_back(buckets)
            raise
        if not fits:
            raise unauthenticated(WRONG)
        return partial(_require_password, user_id=user_id, phc=phc)

    async def _give_back(self, buckets: Sequence[throttles.Bucket]) -> None:
        async with self._database.connection() as connection:
            await throttles.give_back(connection, buckets)

    async def _judge_signature(self, user_id: UUID, proof: SshProof) -> Spend:
        challenge = self._challenges.open(Purpose.SSH_CHALLENGE, proof.challenge)
        if challenge is None:
            raise unauthenticated(WRONG)
        key_id = await find_signer(self._database, user_id, proof.signature, proof.challenge)
        account = await self._database.fetchrow(Q.find_login, user_id, challenge.subject)
        if key_id is None or account is None:
            raise unauthenticated(WRONG)
        self._note_use(key_id)
        return partial(use_up, key_id=key_id, user_id=user_id, challenge=challenge)


async def _spend_code(
    connection: Connection, key: ServerKey, user_id: UUID, code: TotpCode
) -> None:
    """Raises UNAUTHENTICATED if the code is wrong or was used."""
    if not await use_code(connection, key, user_id, code):
        raise unauthenticated(WRONG)


async def _require_password(connection: Connection, user_id: UUID, phc: str | None) -> None:
    """Raises UNAUTHENTICATED if the password was changed or ended meanwhile, or is not enough any more."""
    row = await connection.fetchrow(Q.read_password, user_id)
    if row is None or row["mfa_enabled"] or row["password_hash"] != phc:
        raise unauthenticated(WRONG)
