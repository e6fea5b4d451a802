"""Jobs over the API: who sees which, how they are cancelled and requeued."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import grpc
import pytest
from dits.common.v1 import job_service_pb2 as pb
from dits.common.v1.job_pb2 import JobStatus, JobType
from grpc import StatusCode

from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.job_office import Office, open_office


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Jobs wait: nobody works on them."""
    return settings.model_copy(update={"worker": False})


@pytest.fixture
async def office(api: Api) -> Office:
    return await open_office(api)


async def test_who_asked_for_a_job_sees_it_and_nobody_else(office: Office) -> None:
    job_id = await office.put(office.ada)
    job = await office.get(office.ada, job_id)
    assert (job.type, job.queue, job.status) == (
        JobType.JOB_TYPE_PURGE_LOGIN_THROTTLES,
        "repo",
        JobStatus.JOB_STATUS_PENDING,
    )
    assert job.requester_id == str(office.ada.id)
    assert job.WhichOneof("payload") is None
    assert not job.HasField("start_time")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await office.get(office.bob, job_id)
    shown = await office.get(office.operator, job_id)
    assert shown.WhichOneof("payload") == "purge_login_throttles"


async def test_a_job_is_known_where_its_queue_is(office: Office) -> None:
    job_id = await office.put(office.ada, queue="auth")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await office.get(office.ada, job_id)
    request = pb.GetJobRequest(job_id=job_id)
    found = await office.api.jobs["auth"].GetJob(request, metadata=office.ada.auth)
    assert found.job.id == job_id


async def test_a_job_on_a_repository_follows_its_rights(office: Office) -> None:
    job_id = await office.put(office.bob, on_repository=True)
    assert (await office.get(office.ada, job_id)).id == job_id
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await office.get(office.bob, job_id)
    assert await office.list(office.bob) == []
    await office.api.grant(office.repo, office.bob, "read")
    assert (await office.get(office.bob, job_id)).id == job_id
    assert await office.list(office.bob) == [job_id]
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await office.cancel(office.bob, job_id)
    others = await office.put(office.ada, on_repository=True)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await office.get(office.bob, others)
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await office.list(office.bob, repository=office.repo.id)


async def test_jobs_of_others_are_cancelled_by_administrators(office: Office) -> None:
    await office.api.grant(office.repo, office.bob, "write")
    job_id = await office.put(office.ada, on_repository=True)
    assert (await office.get(office.bob, job_id)).id == job_id
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await office.cancel(office.bob, job_id)
    carol = await office.api.account()
    await office.api.grant(office.repo, carol, "admin")
    job = await office.cancel(carol, job_id)
    assert job.status == JobStatus.JOB_STATUS_CANCELLED
    assert job.HasField("end_time")


@pytest.mark.parametrize(
    ("on_repository", "held", "missing"),
    [(False, "repo:read", "user:read"), (True, "user:read", "repo:read")],
)
async def test_tokens_need_a_scope(
    office: Office, on_repository: bool, held: str, missing: str
) -> None:
    job_id = await office.put(office.ada, on_repository=on_repository)
    token = await office.api.api_token(office.ada, held)
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
        await office.get(token, job_id)
    assert refusal.metadata == {"required": missing}
    assert await office.list(token) == []
    reader = await office.api.api_token(office.ada, missing)
    assert (await office.get(reader, job_id)).id == job_id
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await office.cancel(reader, job_id)
    if not on_repository:
        # As `dits login` has it.
        writer = await office.api.api_token(office.ada, missing, "repo:write")
        assert (await office.cancel(writer, job_id)).status == JobStatus.JOB_STATUS_CANCELLED


async def test_a_job_that_runs_is_asked_to_end_and_one_that_ended_stays(office: Office) -> None:
    job_id = await office.put(office.ada)
    await office.api.fetch(
        """UPDATE jobs SET status = 'running', lease_token = gen_random_uuid(),
                  locked_until = now() + interval '1 minute' WHERE id = $1::uuid""",
        job_id,
    )
    job = await office.cancel(office.ada, job_id)
    assert (job.status, job.cancel_requested) == (JobStatus.JOB_STATUS_RUNNING, True)
    await office.bury(job_id)
    ended = await office.get(office.ada, job_id)
    assert ended.status == JobStatus.JOB_STATUS_CANCELLED
    assert await office.cancel(office.ada, job_id) == ended


async def test_a_dead_letter_is_requeued_once(office: Office) -> None:
    dead = await office.put(office.ada, on_repository=True)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await office.requeue(office.operator, dead)
    await office.bury(dead)
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await office.requeue(office.ada, dead)
    request_id = str(uuid4())
    new = await office.requeue(office.operator, dead, request_id)
    assert (new.status, new.attempts, new.repository_id) == (
        JobStatus.JOB_STATUS_PENDING,
        0,
        office.repo.id,
    )
    assert await office.requeue(office.operator, dead, request_id) == new
    with refused(StatusCode.FAILED_PRECONDITION, "ALREADY_REQUEUED") as refusal:
        await office.requeue(office.operator, dead)
    assert refusal.metadata == {"job_id": new.id}
    assert (await office.get(office.ada, dead)).status == JobStatus.JOB_STATUS_FAILED
    audited = await office.api.fetch(
        "SELECT resource_id FROM audit_log WHERE action = 'job.requeued'"
    )
    assert [row["resource_id"] for row in audited] == [dead]


async def test_two_operators_requeue_a_dead_letter_once(office: Office) -> None:
    dead = await office.put()
    await office.bury(dead)
    calls = [office.requeue(office.operator, dead) for _ in range(2)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(isinstance(outcome, grpc.aio.AioRpcError) for outcome in outcomes) == [
        False,
        True,
    ]
    assert await office.api.value("SELECT count(*) FROM jobs") == 2
