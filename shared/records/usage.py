"""Stores the usage that a server gathered: every few seconds, many entities at once, no count twice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict
from uuid import uuid4

import structlog

from shared.db import sql
from shared.db.pool import Database
from shared.rpc.amounts import Amounts
from shared.rpc.usage import UsageCounters, UsageRow
from shared.runtime.background import BackgroundTask

Q = sql.load(__file__)

log = structlog.get_logger(__name__)

# A crash loses what was counted in so many seconds.
STORE_SECONDS = 5.0
# How long a server that stops tries to store the rest.
LAST_SECONDS = 5.0
# Of one batch: encoding them keeps the event loop busy for some milliseconds.
MAX_ROWS = 1_000


class UsageStore:
    """Writes the counts of one server to the database.

    A batch has a number and stays as it is until the database has answered: sent again after a broken
    connection, it is recorded once.

    Attributes:
        counters: what is gathered.
    """

    def __init__(self, database: Database, counters: UsageCounters) -> None:
        self._database = database
        self.counters = counters
        self._writer_id = uuid4()
        self._batch: list[UsageRow] = []
        self._number = 0
        self._knows_time = False
        self._storing = asyncio.Lock()

    def task(self) -> BackgroundTask:
        """Returns the background task that stores."""
        return BackgroundTask("store usage", self._store_in_time, 0)

    async def store(self) -> None:
        """Stores all that was counted before the call. What fails is kept for the next time."""
        async with self._storing:
            self.counters.settle_calls_under_way()
            self._report_loss()
            while self._take_batch() or not self._knows_time:
                await self._record()
                self._batch = []

    async def store_last(self) -> None:
        """Stores the rest when the server stops, and says in the log what could not be stored."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self.store()
        except Exception as error:  # noqa: BLE001  nothing may keep the server from stopping
            rest = Amounts()
            while self._take_batch():
                for _, _, amounts in self._batch:
                    rest.add(amounts)
                self._batch = []
            if not rest.is_empty():
                log.warning("usage lost", cause=repr(error), **asdict(rest))

    async def _store_in_time(self) -> None:
        if self._knows_time:
            with suppress(TimeoutError):
                async with asyncio.timeout(STORE_SECONDS):
                    await self.counters.wait_until_full()
        await self.store()

    def _take_batch(self) -> bool:
        """Whether there is a batch to store: the one that failed, or a new one."""
        if not self._batch:
            self._batch = self.counters.drain(MAX_ROWS)
            self._number += bool(self._batch)
        return bool(self._batch)

    async def _record(self) -> None:
        [row] = await self._database.statement(
            *Q.bind.record_usage(
                writer_id=self._writer_id,
                batch=self._number,
                days=[day for day, _, _ in self._batch],
                entity_types=[entity[0] for _, entity, _ in self._batch],
                entity_ids=[entity[1] for _, entity, _ in self._batch],
                requests=[amounts.requests for _, _, amounts in self._batch],
                received=[amounts.received for _, _, amounts in self._batch],
                sent=[amounts.sent for _, _, amounts in self._batch],
                pushes=[amounts.pushes for _, _, amounts in self._batch],
                pulls=[amounts.pulls for _, _, amounts in self._batch],
            )
        )
        self.counters.set_time(row["now"])
        self._knows_time = True

    def _report_loss(self) -> None:
        lost = self.counters.lost
        if not lost.is_empty():
            log.warning("usage lost", cause="too many entities at once", **asdict(lost))
            lost.clear()
