"""Lists of jobs: of the caller, of a repository, of everybody."""

from __future__ import annotations

from typing import Any

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


async def test_jobs_are_listed_newest_first_page_by_page(office: Office) -> None:
    ids = [await office.put(office.ada, on_repository=number % 2 == 0) for number in range(5)]
    await office.put(office.bob)
    assert await office.list(office.ada) == ids[::-1]
    assert await office.list(office.ada, repository=office.repo.id) == [ids[4], ids[2], ids[0]]
    assert len(await office.list(office.operator, everybody=True)) == 6
    request = pb.ListJobsRequest(page_size=2)
    found: list[str] = []
    while True:
        page = await office.api.jobs["repo"].ListJobs(request, metadata=office.ada.auth)
        found += [job.id for job in page.jobs]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert found == ids[::-1]


async def test_a_page_of_large_payloads_is_shorter(office: Office) -> None:
    rows = await office.api.fetch(
        """SELECT enqueue_job('repo', 'send_mail', jsonb_build_object('template', repeat('é', 30000)))::text
           AS id FROM generate_series(1, 120)"""
    )
    request = pb.ListJobsRequest(everybody=True, page_size=1000)
    found: list[str] = []
    while not found or request.page_token:
        page = await office.api.jobs["repo"].ListJobs(request, metadata=office.operator.auth)
        assert page.ByteSize() < 4 << 20
        assert len(page.jobs[0].send_mail.template) == 30_000
        found += [job.id for job in page.jobs]
        request.page_token = page.next_page_token
    assert found == sorted((row["id"] for row in rows), reverse=True)


async def test_lists_are_narrowed_by_type_and_status(office: Office) -> None:
    first, second = await office.put(office.ada), await office.put(office.ada)
    await office.cancel(office.ada, first)
    assert await office.list(office.ada, status=JobStatus.JOB_STATUS_CANCELLED) == [first]
    assert await office.list(office.ada, status=JobStatus.JOB_STATUS_PENDING) == [second]
    assert await office.list(office.ada, type=JobType.JOB_TYPE_PURGE_EVENTS) == []
    assert await office.list(office.ada, type=JobType.JOB_TYPE_PURGE_LOGIN_THROTTLES) == [
        second,
        first,
    ]


async def test_bad_lists_are_refused(office: Office) -> None:
    bad: list[dict[str, Any]] = [
        {"type": 99},
        {"status": 77},
        {"everybody": True, "repository": office.repo.id},
        {"repository": "nonsense"},
        {"page_size": -1},
    ]
    for options in bad:
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await office.list(office.ada, **options)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await office.list(office.ada, page_token="AAAA")
    for who in (office.ada, await office.api.api_token(office.ada, "repo:admin")):
        with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
            await office.list(who, everybody=True)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await office.list(office.bob, repository=office.repo.id)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await office.get(office.ada, "1")
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await office.api.jobs["repo"].ListJobs(pb.ListJobsRequest())
