"""Sessions: logging in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from dits.auth.v1 import session_service_pb2 as pb

from services.auth.credentials import devices, throttles
from services.auth.credentials.login_candidates import Candidate, find_candidate
from services.auth.credentials.logins import fold_login
from services.auth.credentials.one_time_tokens import Purpose
from services.auth.credentials.passwords import MOST_BYTES, Hasher, read_salt
from services.auth.credentials.session_opening import ProvenLogin, open_session
from services.auth.credentials.ssh_challenges import MAX_CHARACTERS, SshChallenges
from services.auth.credentials.ssh_keys import parse_signature_field
from services.auth.credentials.ssh_login import SshAttempt, SshLogin
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import DomainError, invalid_field, unauthenticated
from shared.formats.sshsig import LOGIN_NAMESPACE
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# The same words for every failure.
WRONG = "this login and password do not belong together"


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """A login and what is said to be its password.

    Attributes:
        login: username or e-mail address, folded.
        device_name: may be empty.
        device_token: may be empty, or not a device token at all.
    """

    login: str
    password: str = field(repr=False)
    device_name: str
    device_token: str

    @classmethod
    def parse(cls, request: pb.LoginRequest) -> Self:
        """Returns the attempt that a request makes. Raises INVALID_FIELD."""
        login = fold_login(validation.text("login", request.login, least=1, most=254))
        device_name = validation.text("device_name", request.device_name, most=255)
        if not 1 <= len(request.password.encode()) <= MOST_BYTES:
            raise invalid_field("password", f"must have 1 to {MOST_BYTES} bytes")
        device_token = validation.text(
            "device_token", request.device_token, most=devices.MAX_CHARACTERS
        )
        return cls(login, request.password, device_name, device_token)


class SessionService:
    """The RPCs of dits.auth.v1.SessionService."""

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        key: ServerKey,
        challenges: SshChallenges,
        note_use: Callable[[UUID], None],
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._devices = devices.DeviceTokens(key)
        self._challenges = challenges
        self._ssh = SshLogin(database, challenges, self._devices, note_use)

    async def Login(self, request: pb.LoginRequest, call: Call) -> pb.LoginResponse:
        """Opens a session for a username or e-mail address and its password."""
        attempt = LoginAttempt.parse(request)
        candidate = await find_candidate(
            self._database, self._devices, attempt.login, attempt.device_token, call.peer_ip
        )
        await throttles.reserve(self._database, candidate.buckets)
        user = await self._authenticate(attempt, candidate)
        login = ProvenLogin(
            user["id"],
            user["username"],
            "password",
            attempt.device_name,
            candidate.device_id,
            WRONG,
        )

        async def open_it(connection: Connection) -> pb.IssuedSession:
            session = await open_session(connection, call, login, self._devices)
            await throttles.accept(connection, candidate.buckets)
            return session

        session = await self._database.transaction(open_it)
        return pb.LoginResponse(session=session)

    async def CreateSshChallenge(
        self, request: pb.CreateSshChallengeRequest, call: Call
    ) -> pb.CreateSshChallengeResponse:
        """Returns a text for an SSH key to sign; nobody looks whether there is such an account."""
        del call
        login = fold_login(validation.text("login", request.login, least=1, most=254))
        issued = await self._challenges.issue(Purpose.SSH_CHALLENGE, login)
        return pb.CreateSshChallengeResponse(
            challenge=issued.text, expire_time=issued.expires, namespace=LOGIN_NAMESPACE
        )

    async def LoginWithSsh(
        self, request: pb.LoginWithSshRequest, call: Call
    ) -> pb.LoginWithSshResponse:
        """Opens a session for an SSH key of the account that has signed a challenge."""
        attempt = SshAttempt(
            validation.text("challenge", request.challenge, least=1, most=MAX_CHARACTERS),
            parse_signature_field(request.signature),
            validation.text("device_name", request.device_name, most=255),
            validation.text("device_token", request.device_token, most=devices.MAX_CHARACTERS),
        )
        return pb.LoginWithSshResponse(session=await self._ssh.open_session(attempt, call))

    async def Logout(self, request: pb.LogoutRequest, call: Call) -> pb.LogoutResponse:
        """Ends the session that the call came with."""
        del request
        caller = call.caller
        if not caller.is_session:
            raise invalid_field("authorization", "an API token cannot log out; revoke it instead")

        async def end_session(connection: Connection) -> None:
            if await connection.fetchval(Q.revoke_session, caller.credential_id, caller.user_id):
                await audit(
                    connection, call, AuditAction.SESSION_ENDED, "session", caller.credential_id, ""
                )

        await self._database.transaction(end_session)
        return pb.LogoutResponse()

    async def _authenticate(self, attempt: LoginAttempt, candidate: Candidate) -> Row:
        """Returns the account. Raises UNAUTHENTICATED, and then the attempt stays counted."""
        user = candidate.row
        phc = user["password_hash"] if user else None
        try:
            fits = await self._hasher.verify(phc, attempt.password, is_known=candidate.is_known)
        except DomainError:
            async with self._database.connection() as connection:
                await throttles.give_back(connection, candidate.buckets)
            raise
        if user is None or not fits or user["status"] != "active":
            if user is not None:
                await self._database.statement(Q.note_failure, user["id"])
            raise unauthenticated(WRONG)
        await self._refresh_hash(user, attempt.password)
        return user

    async def _refresh_hash(self, user: Row, password: str) -> None:
        """Replaces a hash that was made with older parameters, while the password is at hand."""
        if not self._hasher.is_outdated(user["password_hash"]):
            return
        try:
            phc = await self._hasher.hash(password)
        except DomainError:
            # The queue is full; a later login does it.
            return
        async with self._database.connection() as connection:
            await connection.execute(
                Q.store_password_hash, user["id"], user["password_hash"], phc, read_salt(phc)
            )
