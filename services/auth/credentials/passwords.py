"""Passwords: the rules for new ones, and Argon2id in threads with a bounded queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from services.auth.credentials.common_passwords import COMMON
from services.auth.logins import fold_login
from shared.errors import invalid_field, server_busy

Result = TypeVar("Result")

LEAST_BYTES = 12
MOST_BYTES = 1024
ALGORITHM = "argon2id"
MEMORY_KIB = 64 << 10
PASSES = 3
# At most this many calls wait for each slot; the next is refused.
QUEUE_PER_SLOT = 16
# So many of these places for each slot are kept free of strangers.
KNOWN_PER_SLOT = 6
# Verified when there is no such user, so that the answer takes as long. Same parameters as the Hasher.
_NO_USER = (
    "$argon2id$v=19$m=65536,t=3,p=1$tAzPA/8Mjmvk7eraY/hTpQ$"
    "DnpQ7wHsPg2TvW8cKxyqvHFxrGmevhJxtOmwdq1Vhaw"
)


def require_strong(password: str, username: str, email: str, *, field: str = "password") -> str:
    """Returns a new password. Raises INVALID_FIELD if it is too short, too long or easy to guess."""
    if not LEAST_BYTES <= len(password.encode()) <= MOST_BYTES:
        raise invalid_field(field, f"must have {LEAST_BYTES} to {MOST_BYTES} bytes")
    folded = fold_login(password)
    if folded in COMMON or folded in (fold_login(username), fold_login(email)):
        raise invalid_field(field, "is too easy to guess")
    return password


def read_salt(phc: str) -> str:
    """Returns the salt inside a PHC string, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`."""
    return phc.split("$")[4]


class Hasher:
    """Argon2id, 64 MiB, three passes, one lane."""

    def __init__(self, slots: int) -> None:
        self._argon = argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="argon2")
        self._most_waiting = slots * (1 + QUEUE_PER_SLOT)
        self._most_strangers = self._most_waiting - slots * KNOWN_PER_SLOT
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Returns the PHC string of a password. Raises SERVER_BUSY."""
        return await self._hash_in_thread(lambda: self._argon.hash(password), self._most_waiting)

    async def verify(self, phc: str | None, password: str, *, is_known: bool) -> bool:
        """Returns whether the password fits; for None, False after the same work. Raises SERVER_BUSY.

        `is_known`: the account has logged in from the device or network before. Strangers from any number
        of addresses leave room for such calls.
        """

        def check() -> bool:
            try:
                return self._argon.verify(phc or _NO_USER, password) and phc is not None
            except (VerificationError, InvalidHashError):
                return False

        most = self._most_waiting if is_known else self._most_strangers
        return await self._hash_in_thread(check, most)

    def is_outdated(self, phc: str) -> bool:
        """Returns whether a PHC string was made with other parameters than today's."""
        return self._argon.check_needs_rehash(phc)

    async def _hash_in_thread(self, work: Callable[[], Result], most: int) -> Result:
        if self._waiting >= most:
            raise server_busy("too many passwords are being checked", 2.0, most)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
