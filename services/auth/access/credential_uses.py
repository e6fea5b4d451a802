"""Which credentials were used since it was last stored, and from where; which passwords were wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar
from uuid import UUID

# What one statement takes.
BATCH = 10_000

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class CredentialBatch:
    """Credentials that were used.

    Attributes:
        sessions: the address of the last use of each; None = not known.
        tokens: the same.
        ssh_keys: the time of each is all that is stored.
        failures: how many wrong passwords each account was tried with.
    """

    sessions: dict[UUID, str | None] = field(default_factory=dict)
    tokens: dict[UUID, str | None] = field(default_factory=dict)
    ssh_keys: dict[UUID, None] = field(default_factory=dict)
    failures: Counter[UUID] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.sessions or self.tokens or self.ssh_keys or self.failures)


class CredentialUses:
    """Sessions, API tokens and SSH keys whose time of last use in the database is out of date."""

    def __init__(self) -> None:
        self._noted = CredentialBatch()

    def add(self, credential_id: UUID, address: str | None, *, is_session: bool) -> None:
        """Notes one use."""
        noted = self._noted.sessions if is_session else self._noted.tokens
        noted[credential_id] = address or noted.get(credential_id)

    def add_ssh_key(self, key_id: UUID) -> None:
        """Notes one use of an SSH key."""
        self._noted.ssh_keys[key_id] = None

    def add_failure(self, user_id: UUID) -> None:
        """Notes a wrong password. Stored at once, it would make the answer later than for nobody's."""
        self._noted.failures[user_id] += 1

    def drain(self, most: int = BATCH) -> CredentialBatch:
        """Returns up to `most` of each kind, and forgets them."""
        noted = self._noted
        return CredentialBatch(
            _take(noted.sessions, most),
            _take(noted.tokens, most),
            _take(noted.ssh_keys, most),
            Counter(_take(noted.failures, most)),
        )

    def put_back(self, batch: CredentialBatch) -> None:
        """Notes again what could not be stored; what was noted meanwhile is newer."""
        noted = self._noted
        _fill(noted.sessions, batch.sessions)
        _fill(noted.tokens, batch.tokens)
        _fill(noted.ssh_keys, batch.ssh_keys)
        noted.failures.update(batch.failures)


def _take(noted: dict[Key, Value], most: int) -> dict[Key, Value]:
    return {key: noted.pop(key) for key in list(islice(noted, most))}


def _fill(noted: dict[Key, Value], older: Mapping[Key, Value]) -> None:
    for key, value in older.items():
        noted.setdefault(key, value)
