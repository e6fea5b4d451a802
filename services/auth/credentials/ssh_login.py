"""Logging in with an SSH key: an account's key signs a challenge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from dits.auth.v1.session_service_pb2 import IssuedSession

from services.auth.credentials import throttles
from services.auth.credentials.challenges import Challenges, OpenedChallenge
from services.auth.credentials.devices import DeviceTokens
from services.auth.credentials.login_candidates import Candidate, find_candidate
from services.auth.credentials.one_time_tokens import Purpose, spend_sealed
from services.auth.credentials.session_opening import ProvenLogin, open_session
from services.auth.credentials.ssh_keys import is_signature_of
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import unauthenticated
from shared.formats.sshsig import LOGIN_NAMESPACE, SshSignature
from shared.rpc.call import Call

Q = sql.load(__file__)

# The same words for every failure.
WRONG = "this signature does not open the account that the challenge is for"


@dataclass(frozen=True, slots=True)
class SshAttempt:
    """A challenge and what is said to be its signature by a key of the account.

    Attributes:
        device_name: may be empty.
        device_token: may be empty, or not a device token at all.
    """

    challenge: str
    signature: SshSignature
    device_name: str
    device_token: str


class SshLogin:
    """Opens sessions for those who have an SSH key of the account.

    For an account that does not exist, a key that it does not have and a bad signature, the same is done.
    """

    def __init__(
        self,
        database: Database,
        challenges: Challenges,
        devices: DeviceTokens,
        note_use: Callable[[UUID], None],
    ) -> None:
        self._database = database
        self._challenges = challenges
        self._devices = devices
        self._note_use = note_use

    async def open_session(self, attempt: SshAttempt, call: Call) -> IssuedSession:
        """Opens a session. Raises UNAUTHENTICATED or RATE_LIMITED."""
        challenge = self._challenges.open(Purpose.SSH_CHALLENGE, attempt.challenge)
        if challenge is None:
            raise unauthenticated(WRONG)
        candidate = await find_candidate(
            self._database, self._devices, challenge.subject, attempt.device_token, call.peer_ip
        )
        await throttles.reserve(self._database, candidate.buckets)
        key_id, proven = await self._authenticate(attempt, candidate)

        async def open_it(connection: Connection) -> IssuedSession:
            await use_up(connection, key_id, proven.user_id, challenge)
            session = await open_session(connection, call, proven, self._devices)
            await throttles.accept(connection, candidate.buckets)
            return session

        session = await self._database.transaction(open_it)
        self._note_use(key_id)
        return session

    async def _authenticate(
        self, attempt: SshAttempt, candidate: Candidate
    ) -> tuple[UUID, ProvenLogin]:
        """Returns the key and its account. Raises UNAUTHENTICATED, and then the attempt stays counted."""
        row = candidate.row
        key_id = await find_signer(
            self._database, row["id"] if row else None, attempt.signature, attempt.challenge
        )
        if row is None or key_id is None or row["status"] != "active":
            raise unauthenticated(WRONG)
        proven = ProvenLogin(
            row["id"], row["username"], "ssh_key", attempt.device_name, candidate.device_id, WRONG,
            has_second_factor=True,
        )  # fmt: skip
        return key_id, proven


async def find_signer(
    database: Database, user_id: UUID | None, signature: SshSignature, challenge: str
) -> UUID | None:
    """Returns the account's key that signed a challenge; None if there is none, after the same work."""
    has_signed = is_signature_of(signature, challenge, LOGIN_NAMESPACE)
    row = await database.fetchrow(Q.find_key, user_id, signature.key.fingerprint)
    return None if row is None or not has_signed else row["id"]


async def use_up(
    connection: Connection, key_id: UUID, user_id: UUID, challenge: OpenedChallenge
) -> None:
    """Raises UNAUTHENTICATED if the key was deleted, or the challenge was used or has ended."""
    is_there = await connection.fetchval(Q.hold_key, key_id)
    text, expires = challenge.text, challenge.expires
    if not is_there or not await spend_sealed(
        connection, Purpose.SSH_CHALLENGE, user_id, text, expires
    ):
        raise unauthenticated(WRONG)
