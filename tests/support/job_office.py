"""Jobs on a repository and without one, and people with different rights: for tests of JobService."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dits.common.v1 import job_service_pb2 as pb
from dits.common.v1.job_pb2 import Job
from dits.repo.v1.repository_service_pb2 import Repository

from tests.support.api import Account, Api


@dataclass(slots=True)
class Office:
    """Jobs on a repository and without one, and people with different rights."""

    api: Api
    ada: Account
    bob: Account
    operator: Account
    repo: Repository

    async def put(
        self, requester: Account | None = None, *, on_repository: bool = False, queue: str = "repo"
    ) -> str:
        """Enqueues a job."""
        job_id = await self.api.value(
            "SELECT enqueue_job($1, 'purge_login_throttles', '{}', p_repo_id => $2, p_requested_by => $3)",
            queue,
            UUID(self.repo.id) if on_repository else None,
            requester.id if requester else None,
        )
        return str(job_id)

    async def bury(self, job_id: str) -> None:
        """Makes a job a dead letter, as an expired last lease does."""
        await self.api.fetch(
            """UPDATE jobs SET status = 'running', attempts = max_attempts, locked_by = 'w',
                      lease_token = gen_random_uuid(), locked_until = now() - interval '1 s'
               WHERE id = $1::uuid""",
            job_id,
        )
        await self.api.fetch("SELECT * FROM end_expired_leases(10)")

    async def get(self, who: Account, job_id: str) -> Job:
        """GetJob."""
        request = pb.GetJobRequest(job_id=job_id)
        job: Job = (await self.api.jobs["repo"].GetJob(request, metadata=who.auth)).job
        return job

    async def list(self, who: Account, **options: Any) -> list[str]:
        """The ids of ListJobs."""
        request = pb.ListJobsRequest(**options)
        response = await self.api.jobs["repo"].ListJobs(request, metadata=who.auth)
        return [job.id for job in response.jobs]

    async def cancel(self, who: Account, job_id: str) -> Job:
        """CancelJob."""
        request = pb.CancelJobRequest(job_id=job_id)
        job: Job = (await self.api.jobs["repo"].CancelJob(request, metadata=who.auth)).job
        return job

    async def requeue(self, who: Account, job_id: str, request_id: str = "") -> Job:
        """RequeueDeadLetter."""
        request = pb.RequeueDeadLetterRequest(job_id=job_id, request_id=request_id)
        response = await self.api.jobs["repo"].RequeueDeadLetter(request, metadata=who.auth)
        job: Job = response.job
        return job


async def open_office(api: Api) -> Office:
    """Returns people and a repository without jobs."""
    operator = await api.api_token(await api.account(), "site:admin")
    ada = await api.account()
    return Office(api, ada, await api.account(), operator, await api.repository(ada))
