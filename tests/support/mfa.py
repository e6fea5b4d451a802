"""Accounts with a second factor, and what an authenticator shows."""

from __future__ import annotations

import base64
import functools
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import argon2
from dits.auth.v1 import mfa_service_pb2 as mpb
from dits.auth.v1 import session_service_pb2 as pb
from grpc import StatusCode

from services.auth.credentials import totp
from services.auth.credentials.passwords import read_salt
from tests.support.accounts import PASSWORD
from tests.support.api import Account, Api, refused
from tests.support.password_hashes import QUICK


@functools.cache
def _hash_password() -> str:
    memory, passes = QUICK
    return argon2.PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=1).hash(PASSWORD)


async def give_password(api: Api, account: Account) -> None:
    """Gives an account PASSWORD, without the time that the server takes for it."""
    phc = _hash_password()
    await api.fetch(
        """INSERT INTO user_credentials (user_id, password_hash, password_salt) VALUES ($1, $2, $3)
           ON CONFLICT (user_id) DO UPDATE SET password_hash = $2, password_salt = $3""",
        account.id, phc, read_salt(phc),
    )  # fmt: skip


@dataclass(slots=True)
class Guarded:
    """An account with a password and an authenticator.

    Attributes:
        recovery_codes: as ConfirmTotp returned them.
    """

    api: Api
    account: Account
    secret: bytes
    recovery_codes: list[str]

    @classmethod
    async def make(cls, api: Api, username: str = "") -> Guarded:
        """Enrols an authenticator for a new account; it has used no code yet."""
        account = await api.account(username)
        await give_password(api, account)
        guarded = cls(api, account, await enroll(api, account), [])
        await guarded.confirm()
        return guarded

    async def confirm(self) -> None:
        """Confirms the secret; the code that did is forgotten, so that tests may use it again."""
        request = mpb.ConfirmTotpRequest(code=self.code(), request_id=str(uuid4()))
        confirmed = await self.api.mfa.ConfirmTotp(request, metadata=self.account.auth)
        self.recovery_codes = list(confirmed.recovery_codes)
        await self.forget_steps()

    async def forget_steps(self) -> None:
        """Makes the server forget which codes were used."""
        await self.api.fetch(
            "UPDATE user_credentials SET mfa_last_step = 0 WHERE user_id = $1", self.account.id
        )

    def code(self, later: int = 0) -> str:
        """Returns what the authenticator shows now, or so many steps later."""
        return totp.make_code(self.secret, int(time.time() // totp.PERIOD_SECONDS) + later)

    def wrong_code(self) -> str:
        """Returns six digits that no step near now has."""
        near = {self.code(later) for later in range(-3, 4)}
        return next(f"{n:06d}" for n in range(10) if f"{n:06d}" not in near)

    async def begin(self, password: str = PASSWORD) -> str:
        """Logs in with the password; returns the challenge."""
        request = pb.LoginRequest(login=self.account.username, password=password)
        response = await self.api.sessions.Login(request)
        assert response.WhichOneof("outcome") == "mfa_challenge"
        challenge: str = response.mfa_challenge.challenge
        return challenge

    async def complete(self, challenge: str, **code: Any) -> pb.IssuedSession:
        """Completes a login, by default with the code of now."""
        code = code or {"totp_code": self.code()}
        request = pb.CompleteMfaRequest(challenge=challenge, **code)
        session: pb.IssuedSession = (await self.api.sessions.CompleteMfa(request)).session
        return session

    async def fail(self, challenge: str, **code: Any) -> None:
        """Does not complete a login."""
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await self.complete(challenge, **code)


async def enroll(api: Api, account: Account) -> bytes:
    """Asks for a secret, and returns it."""
    enrolled = await api.mfa.EnrollTotp(mpb.EnrollTotpRequest(), metadata=account.auth)
    return base64.b32decode(enrolled.secret)
