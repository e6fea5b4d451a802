"""Stores when credentials were last used: idle sessions end by it, and owners see it."""

from __future__ import annotations

from services.auth.access.credential_uses import CredentialUses
from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)

STORE_SECONDS = 5.0


class CredentialUseStore:
    """Writes the uses of credentials to the database, many at once."""

    def __init__(self, database: Database, uses: CredentialUses) -> None:
        self._database = database
        self._uses = uses

    async def store(self) -> None:
        """Stores which credentials were used since the last call."""
        sessions, tokens = self._uses.drain()
        ssh_keys = self._uses.drain_ssh_keys()
        async with self._database.connection() as connection:
            if sessions:
                await connection.execute(Q.touch_sessions, sessions)
            if tokens:
                await connection.execute(Q.touch_tokens, tokens)
            if ssh_keys:
                await connection.execute(Q.touch_ssh_keys, ssh_keys)
