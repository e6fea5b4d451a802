"""The loop of every background task: work again and again, and never die of an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import structlog

from shared.errors import DomainError
from shared.runtime import metrics

log = structlog.get_logger(__name__)

# The least pause after a round that failed.
FAILURE_PAUSE_SECONDS = 1.0

# What passes by itself: the database is away, a row is busy, the store is full.
PASSING = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DomainError,
)


@dataclass(frozen=True, slots=True)
class BackgroundTask:
    """Work that a service does without being asked, for as long as it runs.

    Attributes:
        name: what the log calls it.
        work: one round; it may wait inside for something to do. What it returns is ignored.
        pause_seconds: rest between the end of one round and the beginning of the next.
    """

    name: str
    work: Callable[[], Awaitable[object]]
    pause_seconds: float

    async def run(self) -> None:
        """Works until cancelled. A round that fails is logged, and the next one comes in its time."""
        while True:
            pause = self.pause_seconds
            if not await self._round():
                pause = max(pause, FAILURE_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _round(self) -> bool:
        try:
            await self.work()
        except PASSING as error:
            log.warning("background work put off", task=self.name, cause=repr(error))
            outcome = "put_off"
        except Exception:
            log.exception("a defect", task=self.name)
            outcome = "defect"
        else:
            outcome = "done"
        metrics.BACKGROUND_ROUNDS.labels(self.name, outcome).inc()
        return outcome == "done"
