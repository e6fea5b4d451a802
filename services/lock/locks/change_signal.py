"""Wakes watchers when the locks of their repository change, in whichever process that happened.

A notification wakes at once, but is only a hint: the outbox is also looked at every second while somebody
watches, which finds what pushes have released, and what a lost notification did not tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog

from shared.db import sql
from shared.db.listen import Listener
from shared.db.pool import Database

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

CHANNEL = "dits_lock_events"
POLL_SECONDS = 1.0
# Changes within this time share a notification: each NOTIFY takes a lock of the whole database.
GATHER_SECONDS = 0.02


class Feed:
    """The watchers of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._signals: dict[UUID, set[asyncio.Event]] = {}
        self._changed: set[UUID] = set()
        self._has_changes = asyncio.Event()
        self._has_watchers = asyncio.Event()
        self._settled: str | None = None

    def changed(self, repo_id: UUID) -> None:
        """The locks of a repository were changed here: wakes its watchers everywhere."""
        self._wake(repo_id)
        self._changed.add(repo_id)
        self._has_changes.set()

    @contextmanager
    def watching(self, repo_id: UUID) -> Iterator[asyncio.Event]:
        """A signal that is set whenever something may have happened to the repository's locks."""
        signal = asyncio.Event()
        self._signals.setdefault(repo_id, set()).add(signal)
        self._has_watchers.set()
        try:
            yield signal
        finally:
            self._signals[repo_id].discard(signal)
            if not self._signals[repo_id]:
                del self._signals[repo_id]
            if not self._signals:
                self._has_watchers.clear()

    async def tell(self) -> None:
        """Waits for changes and sends the hints of this process."""
        await self._has_changes.wait()
        await asyncio.sleep(GATHER_SECONDS)
        gathered, self._changed = self._changed, set()
        self._has_changes.clear()
        await self._database.fetch(Q.hint, list(gathered))

    def listen(self, listener: Listener) -> None:
        """Takes the hints of all processes."""
        listener.subscribe(CHANNEL, self._notified)

    async def poll(self) -> None:
        """Waits until a call watches; then wakes the watchers of what has settled since the last look.

        At the first look it wakes all of them.
        """
        if not self._signals:
            await self._has_watchers.wait()
            self._settled = None
        row = await self._database.fetchrow(Q.changed_repositories, self._settled)
        assert row is not None  # noqa: S101  a SELECT without FROM
        for repo_id in row["repositories"] if self._settled is not None else list(self._signals):
            self._wake(repo_id)
        self._settled = str(row["settled"])

    def _notified(self, payload: str) -> None:
        try:
            self._wake(UUID(payload))
        except ValueError:
            log.info("a notification without a repository")

    def _wake(self, repo_id: UUID) -> None:
        for signal in self._signals.get(repo_id, ()):
            signal.set()
