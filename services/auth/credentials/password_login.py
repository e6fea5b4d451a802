"""Logging in with a password."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from dits.auth.v1 import session_service_pb2 as pb

from services.auth.credentials import throttles
from services.auth.credentials.devices import MAX_CHARACTERS, DeviceTokens
from services.auth.credentials.login_candidates import Candidate, find_candidate
from services.auth.credentials.mfa_login import MfaLogin
from services.auth.credentials.passwords import MOST_BYTES, Hasher, read_salt
from services.auth.credentials.session_opening import (
    ProvenLogin,
    SecondFactorNeededError,
    open_session,
)
from services.auth.logins import fold_login
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import DomainError, invalid_field, unauthenticated
from shared.rpc import validation
from shared.rpc.call import Call

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
        device_token = validation.text("device_token", request.device_token, most=MAX_CHARACTERS)
        return cls(login, request.password, device_name, device_token)


class PasswordLogin:
    """Opens sessions for those who know the password, and asks for the second factor if there is one.

    For an account that does not exist and a wrong password, the same is done.
    """

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        devices: DeviceTokens,
        mfa: MfaLogin,
        note_failure: Callable[[UUID], None],
    ) -> None:
        self._note_failure = note_failure
        self._database = database
        self._hasher = hasher
        self._devices = devices
        self._mfa = mfa

    async def log_in(self, attempt: LoginAttempt, call: Call) -> pb.LoginResponse:
        """Opens a session, or asks for a code. Raises UNAUTHENTICATED or RATE_LIMITED."""
        candidate = await find_candidate(
            self._database, self._devices, attempt.login, attempt.device_token, call.peer_ip
        )
        await throttles.reserve(self._database, candidate.buckets)
        user, phc = await self._authenticate(attempt, candidate)
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
            # Only now: nobody changes the password of a locked account.
            if not await connection.fetchval(Q.is_password, user["id"], phc):
                raise unauthenticated(WRONG)
            await throttles.accept(connection, candidate.buckets)
            return session

        try:
            session = await self._database.transaction(open_it)
        except SecondFactorNeededError:
            async with self._database.connection() as connection:
                await throttles.accept(connection, candidate.buckets)
            challenge = await self._mfa.issue_challenge(login, phc, is_known=candidate.is_known)
            return pb.LoginResponse(mfa_challenge=challenge)
        return pb.LoginResponse(session=session)

    async def _authenticate(self, attempt: LoginAttempt, candidate: Candidate) -> tuple[Row, str]:
        """Returns the account and the hash of its password.

        Raises UNAUTHENTICATED, and then the attempt stays counted.
        """
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
                self._note_failure(user["id"])
            raise unauthenticated(WRONG)
        return user, await self._refresh_hash(user, attempt.password)

    async def _refresh_hash(self, user: Row, password: str) -> str:
        """Replaces a hash that was made with older parameters, while the password is at hand.

        Returns the hash as it is now.
        """
        old: str = user["password_hash"]
        if not self._hasher.is_outdated(old):
            return old
        try:
            phc = await self._hasher.hash(password)
        except DomainError:
            # The queue is full; a later login does it.
            return old
        async with self._database.connection() as connection:
            await connection.execute(Q.store_password_hash, user["id"], old, phc, read_salt(phc))
        return phc
