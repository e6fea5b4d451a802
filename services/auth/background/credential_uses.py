"""Stores when credentials were last used: idle sessions end by it, and owners see it."""

from __future__ import annotations

from services.auth.access.credential_uses import CredentialBatch, CredentialUses
from shared.db import sql
from shared.db.pool import Connection, Database

Q = sql.load(__file__)

STORE_SECONDS = 5.0


class CredentialUseStore:
    """Writes the uses of credentials to the database, many at once."""

    def __init__(self, database: Database, uses: CredentialUses) -> None:
        self._database = database
        self._uses = uses

    async def store(self) -> None:
        """Stores which credentials were used since the last call. What fails is kept for the next one."""
        while batch := self._uses.drain():
            try:
                async with self._database.connection() as connection:
                    await _store(connection, batch)
            except BaseException:
                self._uses.put_back(batch)
                raise


async def _store(connection: Connection, batch: CredentialBatch) -> None:
    """Stores one batch. A part that is stored again changes nothing that matters."""
    if batch.sessions:
        await connection.execute(
            Q.touch_sessions, list(batch.sessions), list(batch.sessions.values())
        )
    if batch.tokens:
        await connection.execute(Q.touch_tokens, list(batch.tokens), list(batch.tokens.values()))
    if batch.ssh_keys:
        await connection.execute(Q.touch_ssh_keys, list(batch.ssh_keys))
    # Last: these are counted, and nothing may fail behind them.
    if batch.failures:
        counts = list(batch.failures.values())
        await connection.execute(Q.note_failures, list(batch.failures), counts)
