"""Wakes watchers when the locks of their repository change, in whichever process that happened.

A notification wakes at once, but is only a hint: the outbox is also looked at every second while somebody
watches, which finds what pushes have released, and what a lost notification did not tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import asyncpg
import structlog

from shared.db import sql
from shared.db.pool import UNREACHABLE, Database
from shared.errors import DomainError

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

CHANNEL = "dits_lock_events"
POLL_SECONDS = 1.0
RECONNECT_SECONDS = 2.0
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
        """Sends the hints of this process, for ever."""
        while True:
            await self._has_changes.wait()
            await asyncio.sleep(GATHER_SECONDS)
            gathered, self._changed = self._changed, set()
            self._has_changes.clear()
            try:
                await self._database.fetch(Q.hint, list(gathered))
            except (*UNREACHABLE, DomainError) as error:
                log.info("no hint sent", cause=type(error).__name__)

    async def listen(self, dsn: str) -> None:
        """Takes the hints of all processes, for ever."""
        while True:
            try:
                await self._listen_once(dsn)
            except UNREACHABLE as error:
                log.info("no notifications", cause=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def poll(self) -> None:
        """Looks into the outbox while somebody watches, for ever."""
        settled: str | None = None
        while True:
            if not self._signals:
                await self._has_watchers.wait()
                settled = None
            try:
                settled = await self._poll_once(settled)
            except (*UNREACHABLE, DomainError) as error:
                log.info("outbox not read", cause=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)

    async def _poll_once(self, settled: str | None) -> str:
        """Wakes the watchers of what has settled since the last look; at the first look, all."""
        row = await self._database.fetchrow(Q.changed_repositories, settled)
        assert row is not None  # noqa: S101  a SELECT without FROM
        for repo_id in row["repositories"] if settled is not None else list(self._signals):
            self._wake(repo_id)
        return str(row["settled"])

    async def _listen_once(self, dsn: str) -> None:
        """Listens until the connection breaks."""
        closed = asyncio.Event()
        connection = await asyncpg.connect(dsn)
        connection.add_termination_listener(lambda _: closed.set())
        try:
            await connection.add_listener(CHANNEL, self._notified)
            await closed.wait()
        finally:
            await connection.close(timeout=1)

    def _notified(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        try:
            self._wake(UUID(str(payload)))
        except ValueError:
            log.info("a notification without a repository")

    def _wake(self, repo_id: UUID) -> None:
        for signal in self._signals.get(repo_id, ()):
            signal.set()
