"""Wakes those who read the outbox when something happens, in whichever process that is.

A notification wakes at once, but is only a hint: while somebody waits, the outbox is also polled every
second, which finds what nobody announces, and changes whose notification was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from uuid import UUID

import structlog

from shared.db import sql
from shared.db.listen import Listener
from shared.db.pool import Database, Databases
from shared.records.events import CHANNEL
from shared.runtime.background import BackgroundTask

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0


class ChangeSignal:
    """Who waits for events in this process."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        # The server is about to stop: streams end, and their callers go on elsewhere.
        self.is_stopping = False
        # By repository; under None those who wait for all.
        self._signals: dict[UUID | None, set[asyncio.Event]] = {}
        self._has_watchers = asyncio.Event()
        # How far the outbox of each database was polled.
        self._settled: dict[Database, str] = {}

    def task(self) -> BackgroundTask:
        """Returns what a service that reads events runs in the background."""
        return BackgroundTask("poll events", self.poll_events, POLL_SECONDS)

    def stop(self) -> None:
        """Ends the streams of this process."""
        self.is_stopping = True
        for signal in chain.from_iterable(self._signals.values()):
            signal.set()

    def watch_all(self) -> AbstractContextManager[asyncio.Event]:
        """Yields a signal that is set whenever there may be new events, of whichever repository."""
        return self.watch_repository(None)

    @contextmanager
    def watch_repository(self, repository_id: UUID | None) -> Iterator[asyncio.Event]:
        """Yields a signal that is set whenever there may be new events of a repository; None = of any."""
        signal = asyncio.Event()
        self._signals.setdefault(repository_id, set()).add(signal)
        self._has_watchers.set()
        try:
            yield signal
        finally:
            self._signals[repository_id].discard(signal)
            if not self._signals[repository_id]:
                del self._signals[repository_id]
            if not self._signals:
                self._has_watchers.clear()

    def receive_hints(self, listener: Listener) -> None:
        """Subscribes to the hints of all processes."""
        listener.subscribe(CHANNEL, self._receive_hint)

    async def poll_events(self) -> None:
        """Waits until somebody waits; then wakes those whose events have settled since the last poll.

        The first poll wakes all of them, and so does one that finds very much.
        """
        if not self._signals:
            await self._has_watchers.wait()
            self._settled = {}
        for database in self._databases.every():
            await self._poll_database(database)

    async def _poll_database(self, database: Database) -> None:
        settled = self._settled.get(database)
        row = await database.fetchrow(Q.changed_repositories, settled)
        assert row is not None  # noqa: S101  a SELECT without FROM
        is_known = settled is not None and not row["is_cut"]
        for repository_id in row["changed"] if is_known else list(self._signals):
            self._wake_watchers(repository_id)
        self._settled[database] = str(row["settled"])

    def _receive_hint(self, payload: str) -> None:
        try:
            self._wake_watchers(UUID(payload))
        except ValueError:
            log.info("a notification without a repository")

    def _wake_watchers(self, repository_id: UUID | None) -> None:
        for key in (repository_id, None):
            for signal in self._signals.get(key, ()):
                signal.set()
