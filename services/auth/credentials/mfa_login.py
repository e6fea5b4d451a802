"""The second half of a login with a password: a code of the second factor."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from dits.auth.v1 import session_service_pb2 as pb

from services.auth.credentials import throttles
from services.auth.credentials.challenges import MAX_CHARACTERS, Challenges
from services.auth.credentials.devices import DeviceTokens
from services.auth.credentials.one_time_tokens import Purpose, spend_sealed
from services.auth.credentials.second_factors import (
    RecoveryCode,
    TotpCode,
    parse_recovery_code,
    parse_totp_code,
    use_code,
)
from services.auth.credentials.session_opening import ProvenLogin, open_session
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import invalid_field, unauthenticated
from shared.formats.credentials import token_hash
from shared.rpc import validation
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# The same words for every failure.
WRONG = "this code does not complete the login, or the challenge has ended"


@dataclass(frozen=True, slots=True)
class MfaAttempt:
    """A challenge and what is said to be a code of its account."""

    challenge: str
    code: TotpCode | RecoveryCode

    @classmethod
    def parse(cls, request: pb.CompleteMfaRequest) -> Self:
        """Returns the attempt that a request makes. Raises INVALID_FIELD."""
        challenge = validation.text("challenge", request.challenge, least=1, most=MAX_CHARACTERS)
        match request.WhichOneof("code"):
            case "totp_code":
                return cls(challenge, parse_totp_code("totp_code", request.totp_code))
            case "recovery_code":
                return cls(challenge, parse_recovery_code("recovery_code", request.recovery_code))
            case _:
                raise invalid_field("totp_code", "or recovery_code must be set")


@dataclass(frozen=True, slots=True)
class HalfLogin:
    """What a challenge remembers of the login whose password was right.

    Attributes:
        password: hash of the hash of the password that was right: another one is not proven by it.
        is_known: it came from a device or network that the account had logged in from.
    """

    user_id: UUID
    username: str
    device_name: str
    device_id: UUID | None
    password: str
    is_known: bool

    def write(self) -> str:
        """Returns it as the subject of a challenge."""
        device_id = str(self.device_id) if self.device_id else None
        return json.dumps(
            [
                str(self.user_id),
                self.username,
                self.device_name,
                device_id,
                self.password,
                self.is_known,
            ]
        )

    @classmethod
    def read(cls, subject: str) -> Self:
        """Returns what `write` has written."""
        user_id, username, device_name, device_id, *proof = json.loads(subject)
        device = UUID(device_id) if device_id else None
        return cls(UUID(user_id), username, device_name, device, *proof)


class MfaLogin:
    """Issues challenges for logins that need a second factor, and completes these logins."""

    def __init__(
        self, database: Database, key: ServerKey, challenges: Challenges, devices: DeviceTokens
    ) -> None:
        self._database = database
        self._key = key
        self._challenges = challenges
        self._devices = devices

    async def issue_challenge(
        self, login: ProvenLogin, phc: str, *, is_known: bool
    ) -> pb.MfaChallenge:
        """Returns the challenge that remembers a login; `phc`: hash of the password that was right."""
        half = HalfLogin(
            login.user_id,
            login.username,
            login.device_name,
            login.device_id,
            token_hash(phc),
            is_known,
        )
        issued = await self._challenges.issue(Purpose.MFA_CHALLENGE, half.write())
        return pb.MfaChallenge(challenge=issued.text, expire_time=issued.expires)

    async def complete(self, attempt: MfaAttempt, call: Call) -> pb.IssuedSession:
        """Opens the session of a login. Raises UNAUTHENTICATED or RATE_LIMITED."""
        challenge = self._challenges.open(Purpose.MFA_CHALLENGE, attempt.challenge)
        if challenge is None:
            raise unauthenticated(WRONG)
        half = HalfLogin.read(challenge.subject)
        buckets = throttles.mfa_buckets(
            half.user_id, call.peer_ip, device_id=half.device_id, is_known=half.is_known
        )
        await throttles.reserve(self._database, buckets)
        login = ProvenLogin(
            half.user_id, half.username, f"password+{attempt.code.method}", half.device_name,
            half.device_id, WRONG, has_second_factor=True,
        )  # fmt: skip

        async def open_it(connection: Connection) -> pb.IssuedSession:
            session = await open_session(connection, call, login, self._devices)
            # Only now: nobody changes the password of a locked account.
            phc = await connection.fetchval(Q.read_password, half.user_id)
            is_current = phc is not None and hmac.compare_digest(token_hash(phc), half.password)
            is_spent = await spend_sealed(
                connection, Purpose.MFA_CHALLENGE, half.user_id, challenge.text, challenge.expires
            )
            fits = await use_code(connection, self._key, half.user_id, attempt.code)
            if not (is_current and is_spent and fits):
                raise unauthenticated(WRONG)
            await throttles.accept(connection, buckets)
            return session

        return await self._database.transaction(open_it)
