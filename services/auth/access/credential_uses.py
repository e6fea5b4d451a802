"""Which credentials were used since it was last stored."""

from __future__ import annotations

from uuid import UUID


class CredentialUses:
    """Sessions, API tokens and SSH keys whose time of last use in the database is out of date."""

    def __init__(self) -> None:
        self._sessions: set[UUID] = set()
        self._tokens: set[UUID] = set()
        self._ssh_keys: set[UUID] = set()

    def add(self, credential_id: UUID, *, is_session: bool) -> None:
        """Notes one use."""
        (self._sessions if is_session else self._tokens).add(credential_id)

    def add_ssh_key(self, key_id: UUID) -> None:
        """Notes one use of an SSH key."""
        self._ssh_keys.add(key_id)

    def drain_ssh_keys(self) -> list[UUID]:
        """Returns the SSH keys, and forgets them."""
        drained = list(self._ssh_keys)
        self._ssh_keys.clear()
        return drained

    def drain(self) -> tuple[list[UUID], list[UUID]]:
        """Returns the sessions and the API tokens, and forgets them."""
        drained = list(self._sessions), list(self._tokens)
        self._sessions.clear()
        self._tokens.clear()
        return drained
