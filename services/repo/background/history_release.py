"""The job of every night that releases what no branch or tag has reached for a time."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from dits.common.v1.job_pb2 import JobProgress, ReleaseHistoryPayload

from services.repo.release.commits import find_due_repositories
from services.repo.release.history import release_history
from shared.errors import DomainError
from shared.jobs.pacing import pace
from shared.jobs.recounts import request_recount
from shared.jobs.running_job import RunningJob
from shared.jobs.schedule import Schedule

log = structlog.get_logger(__name__)

SCHEDULE = Schedule("release history", "12 1 * * *", ReleaseHistoryPayload())
# Repositories that one job works on; the next job goes on.
MOST_REPOSITORIES = 1_000


class HistoryRelease:
    """Releases the history that nothing reaches.

    `age`: how long commits are kept after the last ref has left them.
    """

    def __init__(self, age: timedelta) -> None:
        self._age = age

    async def handle(self, job: RunningJob, _payload: ReleaseHistoryPayload) -> JobProgress:
        """Works on a job; returns how many rows it has deleted. What is done stays if it ends early."""
        done = 0
        due = await find_due_repositories(job.database, self._age, MOST_REPOSITORIES)
        for repository_id in due:
            done = await self._release(job, repository_id, done)
        return JobProgress(done=done)

    async def _release(self, job: RunningJob, repository_id: UUID, done: int) -> int:
        """Releases what is due in a repository; returns `done`, with the rows that it has deleted."""
        before = done
        try:
            async with pace(release_history(job.database, repository_id, self._age)) as counts:
                async for count in counts:
                    done += count
                    await job.report_progress(done, note=f"repository {repository_id}")
        except DomainError as error:
            # What is damaged there keeps no other repository from being looked at.
            log.exception(
                "history not released", repository=str(repository_id), cause=error.message
            )
        if done > before:
            await job.database.transaction(partial(request_recount, repository_id=repository_id))
        return done
