"""A watched job: each change once, the end, and the end of the right."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import grpc
import pytest
from dits.common.v1 import job_service_pb2 as pb
from dits.common.v1.job_pb2 import JobStatus
from grpc import StatusCode

from shared.jobs import job_service, job_watch
from shared.runtime.config import Settings
from tests.support.api import Account, Api, refused
from tests.support.waiting import PATIENCE_SECONDS


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Jobs wait: nobody works on them. Looks come often."""
    monkeypatch.setattr(job_watch, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(job_service, "CHECK_SECONDS", 0.2)
    return settings.model_copy(update={"worker": False})


async def put(api: Api, who: Account, repository: str | None = None) -> str:
    job_id = await api.value(
        "SELECT enqueue_job('repo', 'purge_login_throttles', '{}', p_repo_id => $2, p_requested_by => $1)",
        who.id,
        UUID(repository) if repository else None,
    )
    return str(job_id)


def watch(api: Api, who: Account, job_id: str) -> Any:
    return api.jobs["repo"].WatchJob(pb.WatchJobRequest(job_id=job_id), metadata=who.auth)


async def test_each_change_is_sent_and_the_end_ends_the_stream(api: Api) -> None:
    who = await api.account()
    job_id = await put(api, who)
    stream = watch(api, who, job_id)
    assert (await stream.read()).job.status == JobStatus.JOB_STATUS_PENDING
    await api.fetch(
        """UPDATE jobs SET status = 'running', lease_token = gen_random_uuid(), locked_until = now(),
                  result = '{"done": "1"}'"""
    )
    job = (await stream.read()).job
    assert (job.status, job.progress.done) == (JobStatus.JOB_STATUS_RUNNING, 1)
    await api.fetch("""UPDATE jobs SET result = '{"done": "2"}'""")
    assert (await stream.read()).job.progress.done == 2
    await api.fetch(
        """UPDATE jobs SET status = 'completed', lease_token = NULL, locked_until = NULL,
                  completed_at = now()"""
    )
    assert (await stream.read()).job.status == JobStatus.JOB_STATUS_COMPLETED
    assert await stream.read() is grpc.aio.EOF


async def test_silence_is_broken_in_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_service, "KEEPALIVE_SECONDS", 0.1)
    who = await api.account()
    stream = watch(api, who, await put(api, who))
    first = await stream.read()
    assert await stream.read() == first
    stream.cancel()


async def test_a_stream_ends_with_the_right(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    repo = await api.repository(ada)
    await api.grant(repo, bob, "write")
    stream = watch(api, bob, await put(api, ada, repo.id))
    await stream.read()
    await api.fetch("DELETE FROM repository_collaborators")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await stream.read():
                pass


async def test_only_those_who_see_a_job_may_watch_it(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    job_id = await put(api, ada)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await watch(api, bob, job_id).read()
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await watch(api, ada, "x").read()
