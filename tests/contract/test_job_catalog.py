"""The catalog of jobs is complete: types, payloads, queues and names agree."""

from __future__ import annotations

import pytest
from dits.common.v1.job_pb2 import Job, JobType

from services.suite import SERVICES
from shared.jobs.catalog import JOBS, NAMES, PAYLOAD_TYPES, QUEUES

PAYLOADS = Job.DESCRIPTOR.oneofs_by_name["payload"].fields


def test_every_type_is_in_the_catalog() -> None:
    assert set(JOBS) == set(JobType.values()) - {JobType.JOB_TYPE_UNSPECIFIED}
    assert len(PAYLOAD_TYPES) == len(JOBS)


@pytest.mark.parametrize("job_type", JOBS, ids=NAMES.get)
def test_a_payload_has_the_name_of_its_type(job_type: JobType.ValueType) -> None:
    field = Job.DESCRIPTOR.fields_by_name[NAMES[job_type]]
    assert field in PAYLOADS
    assert field.number == 100 + job_type
    assert field.message_type is JOBS[job_type].payload.DESCRIPTOR


def test_every_payload_has_its_type() -> None:
    assert {field.name for field in PAYLOADS} == set(NAMES.values())


def test_every_queue_has_jobs_and_services() -> None:
    assert {spec.queue for spec in JOBS.values()} <= set(QUEUES)
    for queue in QUEUES.values():
        assert set(queue.services) <= set(SERVICES)


@pytest.mark.parametrize("job_type", JOBS, ids=NAMES.get)
def test_delays_grow_and_end(job_type: JobType.ValueType) -> None:
    spec = JOBS[job_type]
    delays = [spec.delay(attempt) for attempt in (1, 2, spec.max_attempts, 1000)]
    assert all(delay.total_seconds() >= 0 for delay in delays)
    assert delays[0] <= delays[-1]
