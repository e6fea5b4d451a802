"""The job of every hour that purges deleted repositories whose time is over."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta

import structlog
from dits.common.v1.job_pb2 import JobProgress, PurgeRepositoriesPayload

from services.repo.repositories.purging import find_due_repositories, purge_repository
from shared.jobs.running_job import RunningJob
from shared.jobs.schedule import Schedule

log = structlog.get_logger(__name__)

SCHEDULE = Schedule("purge repositories", "25 * * * *", PurgeRepositoriesPayload())
# Repositories that one job purges; the next job goes on.
MOST_REPOSITORIES = 1_000


class RepositoryPurge:
    """Purges repositories.

    `grace`: how long a chunk is kept after its last reference went.
    """

    def __init__(self, grace: timedelta) -> None:
        self._grace = grace

    async def handle(self, job: RunningJob, _payload: PurgeRepositoriesPayload) -> JobProgress:
        """Works on a job; returns how many rows it has deleted. What is done stays if it ends early."""
        done = 0
        for repository_id in await find_due_repositories(job.database, MOST_REPOSITORIES):
            log.info("a repository is purged", repository=str(repository_id))
            async with aclosing(
                purge_repository(job.database, repository_id, self._grace)
            ) as counts:
                async for count in counts:
                    done += count
                    await job.report_progress(done, note=f"repository {repository_id}")
        return JobProgress(done=done)
