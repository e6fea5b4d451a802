"""Wakes those who watch jobs, when these change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from shared.db import sql
from shared.db.pool import Database
from shared.runtime.background import BackgroundTask

Q = sql.load(__file__)

POLL_SECONDS = 1.0


class JobWatch:
    """Looks at all jobs that are watched through this process, with one query a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._signals: dict[UUID, set[asyncio.Event]] = {}
        self._seen: dict[UUID, str] = {}
        self._has_watchers = asyncio.Event()

    def task(self) -> BackgroundTask:
        """Returns what a serving process runs in the background."""
        return BackgroundTask("look at watched jobs", self.poll_jobs, POLL_SECONDS)

    @contextmanager
    def watch_job(self, job_id: UUID) -> Iterator[asyncio.Event]:
        """Yields an event that is set whenever the job may have changed."""
        signal = asyncio.Event()
        self._signals.setdefault(job_id, set()).add(signal)
        self._has_watchers.set()
        try:
            yield signal
        finally:
            self._signals[job_id].discard(signal)
            if not self._signals[job_id]:
                del self._signals[job_id]
                self._seen.pop(job_id, None)
            if not self._signals:
                self._has_watchers.clear()

    async def poll_jobs(self) -> None:
        """Waits until a job is watched, and wakes the watchers of those that have changed since then."""
        await self._has_watchers.wait()
        rows = await self._database.fetch(Q.job_states, list(self._signals))
        states = {row["id"]: row["state"] for row in rows}
        for job_id, signals in self._signals.items():
            if states.get(job_id, "") != self._seen.get(job_id):
                self._seen[job_id] = states.get(job_id, "")
                for signal in signals:
                    signal.set()
