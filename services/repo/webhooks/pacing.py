"""How webhooks step back while callers use the database: deliveries can wait a while, pushes cannot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)

# What each request costs while the database is in use: a process begins 100 in a second.
EACH_SECONDS = 0.01
# What has waited for so long costs nothing: it is held back no more.
LONGEST_HOLD = timedelta(minutes=5)
# How often it is looked whether the database is in use, and how long that holds at least.
LOOK_SECONDS = 0.05
USE_SECONDS = 0.3


class Pacing:
    """Gives out turns, one at a time, in the order in which they are asked for.

    While callers use the database, the next turn begins when the requests of the one before are paid for.
    """

    def __init__(
        self,
        each_seconds: float | None = None,
        look_seconds: float | None = None,
        use_seconds: float | None = None,
    ) -> None:
        """What each request costs, how often it looks, and how long that holds; None = as lanes have it."""
        self._each_seconds = EACH_SECONDS if each_seconds is None else each_seconds
        self._look_seconds = LOOK_SECONDS if look_seconds is None else look_seconds
        self._use_seconds = USE_SECONDS if use_seconds is None else use_seconds
        self._turn = asyncio.Lock()
        self._paid_at = 0.0
        self._look_at = 0.0
        self._used_until = 0.0

    @asynccontextmanager
    async def turn(self, database: Database) -> AsyncIterator[None]:
        """Waits for a turn, and ends it with the context."""
        async with self._turn:
            while (left := self._paid_at - time.monotonic()) > 0:
                if not await self._is_in_use(database):
                    break
                await asyncio.sleep(min(left, self._look_seconds))
            yield

    def charge(self, requests: int) -> None:
        """Notes how many requests have begun in a turn, or are to be begun for what it made."""
        self._paid_at = time.monotonic() + requests * self._each_seconds

    async def _is_in_use(self, database: Database) -> bool:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + self._look_seconds
            row = await database.fetchrow(Q.is_in_use)
            if row is not None and row["is_in_use"]:
                self._used_until = max(now + self._use_seconds, self._look_at)
        return now < self._used_until
