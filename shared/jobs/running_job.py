"""A job as its handler sees it, and how the handler says that it failed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

from dits.common.v1.job_pb2 import JobProgress, JobType
from google.protobuf import json_format

from shared.db import sql
from shared.db.pool import Database, Row
from shared.jobs.catalog import JOBS, TYPES, JobSpec

Q = sql.load(__file__)

# Progress is written at most so often.
PROGRESS_SECONDS = 1.0


class RetryLater(Exception):  # noqa: N818  it is no defect
    """The job cannot be done now; `delay` says when to try again, if not the type's backoff."""

    def __init__(self, reason: str, delay: timedelta | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


class PermanentFailure(Exception):  # noqa: N818  it is no defect
    """No further attempt can succeed: the job becomes a dead letter at once."""


class JobCancelled(Exception):  # noqa: N818  it is no defect
    """The job was asked to end early."""


class RunningJob:
    """One attempt at a job, under a lease.

    Attributes:
        attempt: its number; the first is 1.
        repository_id: the repository it works on; None = none.
        requested_by: the user who asked for it; None = nobody did.
        database: where the job is, and where its handler works.
    """

    def __init__(self, row: Row, database: Database) -> None:
        self.id: UUID = row["id"]
        self.type: JobType.ValueType = TYPES[row["job_type"]]
        self.attempt: int = row["attempts"]
        self.max_attempts: int = row["max_attempts"]
        self.repository_id: UUID | None = row["repo_id"]
        self.requested_by: UUID | None = row["requested_by"]
        self.database = database
        self.queue: str = row["queue"]
        self.payload_text: str = row["payload"]
        self.lease_token: UUID = row["lease_token"]
        self.renewed_at = time.monotonic()
        self._is_cancelled = row["cancel_requested_at"] is not None
        self._told_at = float("-inf")

    @property
    def spec(self) -> JobSpec:
        """What is true of all jobs of its type."""
        return JOBS[self.type]

    @property
    def is_last_attempt(self) -> bool:
        """Whether a failure buries it."""
        return self.attempt >= self.max_attempts

    def request_cancel(self) -> None:
        """Tells the handler to end early, the next time it asks."""
        self._is_cancelled = True

    async def has_rival(self) -> bool:
        """Returns whether another job of its type is at work for its repository."""
        row = await self.database.fetchrow(Q.has_rival, self.id)
        return row is not None and bool(row[0])

    def check_cancelled(self) -> None:
        """Raises JobCancelled if the job was asked to end early. Handlers call it where they can stop."""
        if self._is_cancelled:
            raise JobCancelled

    async def report_progress(self, done: int, total: int = 0, note: str = "") -> None:
        """Stores how far the job has come, at most once a second. Raises JobCancelled if it is to end."""
        self.check_cancelled()
        now = time.monotonic()
        if now - self._told_at < PROGRESS_SECONDS:
            return
        self._told_at = now
        progress = encode_progress(JobProgress(done=done, total=total, note=note))
        row = await self.database.fetchrow(Q.store_progress, self.id, self.lease_token, progress)
        if row is not None and row["is_cancelled"]:
            self.request_cancel()
        self.check_cancelled()


# Works on one job; returns what it has done, if there is anything to say.
Handler: TypeAlias = Callable[[RunningJob, Any], Awaitable[JobProgress | None]]


def encode_progress(progress: JobProgress) -> str:
    """Returns the JSON under which progress is stored."""
    return json_format.MessageToJson(progress, preserving_proto_field_name=True, indent=None)
