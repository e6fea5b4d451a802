"""Jobs of this service's queues: shown, watched, cancelled, requeued."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from dits.common.v1 import job_service_pb2 as pb
from dits.common.v1.job_pb2 import JobStatus, JobType
from grpc import StatusCode

from shared.db import sql
from shared.db.hints import hint_after_commit
from shared.db.pool import Connection, Database, Row
from shared.errors import DomainError, already_requeued, invalid_field, not_found
from shared.jobs.catalog import NAMES
from shared.jobs.job_access import JobAccess, is_operator
from shared.jobs.job_watch import JobWatch
from shared.jobs.messages import ENDED, STATUS_NAMES, describe_job
from shared.jobs.queue import CANCEL, CHANNEL, MAX_PAYLOAD_BYTES
from shared.records.audit import AuditAction, audit
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.admission import CHECK_SECONDS, REVOCATION_SECONDS
from shared.rpc.call import AccessResolver, Call
from shared.rpc.paging import PAGE_BYTES, Page
from shared.runtime.server_key import ServerKey
from shared.runtime.waiting import wait_for_event

Q = sql.load(__file__)

KEEPALIVE_SECONDS = 15.0
ANSWER_SECONDS = 1.0


class JobService:
    """The RPCs of dits.common.v1.JobService."""

    def __init__(
        self,
        database: Database,
        queues: Sequence[str],
        resolver: AccessResolver,
        key: ServerKey,
        watch: JobWatch,
    ) -> None:
        self._database = database
        self._queues = list(queues)
        self._access = JobAccess(database, self._queues, resolver)
        self._writes = IdempotentWrites(database, key)
        self._key = key
        self._watch = watch

    async def GetJob(self, request: pb.GetJobRequest, call: Call) -> pb.GetJobResponse:
        """Returns a job."""
        row = await self._access.fetch_job(validation.uuid("job_id", request.job_id), call)
        return pb.GetJobResponse(job=describe_job(row, shows_payload=is_operator(call)))

    async def ListJobs(self, request: pb.ListJobsRequest, call: Call) -> pb.ListJobsResponse:
        """Returns a page of the caller's jobs, of those on a repository, or of all."""
        page = Page(self._key, request, call)
        values: dict[str, Any] = {
            "queues": self._queues,
            "job_type": _parse_type(request.type),
            "status": _parse_status(request.status),
            "before": UUID(page.after[0]) if page.after else None,
            "count": page.size + 1,
            # More than a page holds: the last row says that there is another page.
            "bytes": PAGE_BYTES + 2 * MAX_PAYLOAD_BYTES,
        }
        if request.everybody and request.repository:
            raise invalid_field("everybody", "must not be set together with repository")
        if request.everybody:
            call.caller.require_site_admin()
            query = Q.bind.list_jobs(**values)
        elif request.repository:
            call.caller.require_scope("repo:read")
            query = Q.bind.list_jobs_of_repository(repository_id=call.repository.id, **values)
        else:
            query = Q.bind.list_jobs_of_requester(user_id=call.caller.user_id, **values)
        found = await self._database.fetch(*query)
        rows, token = page.answer(found, lambda row: (str(row["id"]),))
        if not request.everybody and not request.repository:
            rows = await self._access.choose_visible(rows, call)
        answer = pb.ListJobsResponse(next_page_token=token)
        for row in rows:
            answer.jobs.append(describe_job(row, shows_payload=is_operator(call)))
            # To read a large payload takes a millisecond, and a page holds many.
            await asyncio.sleep(0)
        return answer

    async def WatchJob(
        self, request: pb.WatchJobRequest, call: Call
    ) -> AsyncIterator[pb.WatchJobResponse]:
        """Yields a job whenever it changes, until it has ended."""
        job_id = validation.uuid("job_id", request.job_id)
        sent, sent_at = None, float("-inf")
        row = await self._access.fetch_job(job_id, call)
        judged_at = time.monotonic()
        with self._watch.watch_job(job_id) as signal:
            while True:
                job = describe_job(row, shows_payload=is_operator(call))
                if job != sent or time.monotonic() - sent_at >= KEEPALIVE_SECONDS:
                    yield pb.WatchJobResponse(job=job)
                    sent, sent_at = job, time.monotonic()
                if row["status"] in ENDED:
                    return
                await wait_for_event(signal, CHECK_SECONDS)
                signal.clear()
                try:
                    row = await self._access.fetch_job(job_id, call, max_age=ANSWER_SECONDS)
                    judged_at = time.monotonic()
                except DomainError as error:
                    # A restart of auth ends no stream.
                    is_late = time.monotonic() - judged_at >= REVOCATION_SECONDS - CHECK_SECONDS
                    if error.code is not StatusCode.UNAVAILABLE or is_late:
                        raise

    async def CancelJob(self, request: pb.CancelJobRequest, call: Call) -> pb.CancelJobResponse:
        """Cancels a job."""
        job_id = validation.uuid("job_id", request.job_id)
        row = await self._access.fetch_job(job_id, call)
        await self._access.require_cancel(row, call)
        row = await self._database.transaction(partial(_cancel, job_id=job_id))
        return pb.CancelJobResponse(job=describe_job(row, shows_payload=is_operator(call)))

    async def RequeueDeadLetter(
        self, request: pb.RequeueDeadLetterRequest, call: Call
    ) -> pb.RequeueDeadLetterResponse:
        """Begins a new job with the work of one that has failed."""
        call.caller.require_site_admin()
        job_id = validation.uuid("job_id", request.job_id)
        work = partial(_requeue, call=call, job_id=job_id, queues=self._queues)
        return await self._writes.once(
            call, Repeatable.of(request), pb.RequeueDeadLetterResponse, work
        )


async def _cancel(connection: Connection, job_id: UUID) -> Row:
    row = await connection.fetchrow(Q.cancel_job, job_id)
    if row is None:
        row = await connection.fetchrow(Q.job_by_id, job_id)
    if row is None:
        raise not_found("job", str(job_id))
    hint_after_commit(CHANNEL, f"{CANCEL}{job_id}")
    return row


async def _requeue(
    connection: Connection, call: Call, job_id: UUID, queues: Sequence[str]
) -> pb.RequeueDeadLetterResponse:
    dead = await connection.fetchrow(Q.lock_dead_letter, job_id, queues)
    if dead is None:
        raise not_found("dead_letter", str(job_id))
    if dead["requeued_as"] is not None:
        raise already_requeued(str(dead["requeued_as"]))
    new_id = await connection.fetchval(Q.requeue_dead_letter, job_id)
    row = await connection.fetchrow(Q.job_by_id, new_id)
    assert row is not None  # noqa: S101  it was just made
    await audit(
        connection,
        call,
        AuditAction.JOB_REQUEUED,
        "job",
        job_id,
        row["job_type"],
        requeued_as=str(row["id"]),
    )
    hint_after_commit(CHANNEL, row["queue"])
    return pb.RequeueDeadLetterResponse(job=describe_job(row, shows_payload=True))


def _parse_type(value: JobType.ValueType) -> str | None:
    """Returns the stored name of a type; None for all. Raises INVALID_FIELD."""
    if value and value not in NAMES:
        raise invalid_field("type", "is not a type of job that this server knows")
    return NAMES[value] if value else None


def _parse_status(value: JobStatus.ValueType) -> str | None:
    """Returns the stored name of a status; None for all. Raises INVALID_FIELD."""
    if value and value not in STATUS_NAMES:
        raise invalid_field("status", "is not a status of jobs")
    return STATUS_NAMES[value] if value else None
