"""Connections that are used again: to open one costs more than most statements."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


class Connections:
    """Connections to one database, each lent to one user at a time; more are opened as needed."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._idle: list[asyncpg.Connection[asyncpg.Record]] = []

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """Yields a connection; after an error it is not used again."""
        connection = self._take() or await asyncpg.connect(self._dsn)
        try:
            yield connection
        except BaseException:
            await connection.close()
            raise
        self._idle.append(connection)

    def _take(self) -> asyncpg.Connection[asyncpg.Record] | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def close(self) -> None:
        """Closes those that are not lent."""
        while self._idle:
            await self._idle.pop().close()
