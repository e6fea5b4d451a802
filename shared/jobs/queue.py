"""Puts jobs on their queues, in the transaction that asks for the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from dits.common.v1.job_pb2 import JobType
from google.protobuf import json_format
from google.protobuf.message import Message

from shared.db import sql
from shared.db.hints import hint_after_commit
from shared.db.pool import Connection
from shared.errors import batch_too_large
from shared.jobs.catalog import JOBS, NAMES, PAYLOAD_TYPES

Q = sql.load(__file__)

# Notifications here carry the name of a queue that has new jobs, or `cancel` and the id of a job.
CHANNEL = "dits_jobs"
CANCEL = "cancel "
MAX_PAYLOAD_BYTES = 64 << 10
# Rows of one statement.
MAX_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job to be put on its queue.

    Attributes:
        payload: its message decides the type.
        delay: how long it must wait at least.
        priority: higher ones of the queue begin first.
        repository_id: the repository it works on; decides who may see it.
        requested_by: the user who asked for it, and may see and cancel it.
    """

    payload: Message
    delay: timedelta = timedelta(0)
    priority: int = 0
    repository_id: UUID | None = None
    requested_by: UUID | None = None


async def enqueue(
    connection: Connection,
    payload: Message,
    *,
    delay: timedelta = timedelta(0),
    priority: int = 0,
    repository_id: UUID | None = None,
    requested_by: UUID | None = None,
    dedup_key: str | None = None,
) -> UUID:
    """Puts a job on the queue of its type, in the caller's transaction, and returns its id.

    With a dedup key, a job of the type with this key that waits for its first attempt is taken instead: it
    becomes no later and no less urgent. Raises TypeError if no type has such a payload, and BATCH_TOO_LARGE
    if it is larger than MAX_PAYLOAD_BYTES.
    """
    job_type = find_type(payload)
    spec = JOBS[job_type]
    job_id: UUID = await connection.fetchval(
        *Q.bind.enqueue_job(
            queue=spec.queue,
            job_type=NAMES[job_type],
            payload=encode_payload(payload),
            priority=priority,
            delay=delay,
            max_attempts=spec.max_attempts,
            repository_id=repository_id,
            requested_by=requested_by,
            dedup_key=dedup_key,
        )
    )
    hint_after_commit(CHANNEL, spec.queue)
    return job_id


async def find_active(
    connection: Connection, job_type: JobType.ValueType, repository_id: UUID
) -> UUID | None:
    """Returns the last job of a type for a repository that waits or is at work, if there is one."""
    job_id: UUID | None = await connection.fetchval(Q.find_active, repository_id, NAMES[job_type])
    return job_id


async def enqueue_alone(
    connection: Connection,
    payload: Message,
    repository_id: UUID,
    *,
    requested_by: UUID | None = None,
) -> UUID:
    """Like `enqueue`; a job of the type for the repository that waits is taken instead, and due now."""
    job_type = NAMES[find_type(payload)]
    job_id: UUID | None = await connection.fetchval(Q.hasten_waiting, repository_id, job_type)
    if job_id is not None:
        hint_after_commit(CHANNEL, JOBS[find_type(payload)].queue)
        return job_id
    return await enqueue(
        connection,
        payload,
        repository_id=repository_id,
        requested_by=requested_by,
        dedup_key=f"repository {repository_id}",
    )


async def enqueue_all(connection: Connection, requests: Sequence[JobRequest]) -> list[UUID]:
    """Puts up to MAX_REQUESTS jobs on their queues at once, and returns their ids in order.

    Raises as `enqueue`, and ValueError if there are more.
    """
    if len(requests) > MAX_REQUESTS:
        raise ValueError(f"{len(requests)} jobs at once")
    types = [find_type(request.payload) for request in requests]
    specs = [JOBS[job_type] for job_type in types]
    rows = await connection.fetch(
        *Q.bind.enqueue_jobs(
            queues=[spec.queue for spec in specs],
            job_types=[NAMES[job_type] for job_type in types],
            payloads=[encode_payload(request.payload) for request in requests],
            priorities=[request.priority for request in requests],
            delays=[request.delay for request in requests],
            max_attempts=[spec.max_attempts for spec in specs],
            repository_ids=[request.repository_id for request in requests],
            requested_by=[request.requested_by for request in requests],
        )
    )
    for queue in {spec.queue for spec in specs}:
        hint_after_commit(CHANNEL, queue)
    return [row["id"] for row in rows]


async def enqueue_keyed(
    connection: Connection, payloads: Mapping[str, Message], *, delay: timedelta = timedelta(0)
) -> None:
    """Puts jobs on their queue with one statement, each under its dedup key, in order: see `enqueue`.

    All payloads are of one type.
    """
    if not payloads:
        return
    job_type = find_type(next(iter(payloads.values())))
    spec = JOBS[job_type]
    await connection.execute(
        *Q.bind.enqueue_keyed(
            queue=spec.queue,
            job_type=NAMES[job_type],
            keys=list(payloads),
            payloads=[encode_payload(payload) for payload in payloads.values()],
            delay=delay,
            max_attempts=spec.max_attempts,
        )
    )
    hint_after_commit(CHANNEL, spec.queue)


def find_type(payload: Message) -> JobType.ValueType:
    """Returns the type of job that has such a payload. Raises TypeError if none has."""
    job_type = PAYLOAD_TYPES.get(type(payload))
    if job_type is None:
        raise TypeError(f"no type of job has a {type(payload).__name__}")
    return job_type


def encode_payload(payload: Message) -> str:
    """Returns the JSON of a payload. Raises BATCH_TOO_LARGE."""
    text = json_format.MessageToJson(payload, preserving_proto_field_name=True, indent=None)
    size = len(text.encode())
    if size > MAX_PAYLOAD_BYTES:
        raise batch_too_large("payload", MAX_PAYLOAD_BYTES, size)
    return text


def decode_payload(job_type: JobType.ValueType, text: str) -> Message:
    """Returns the payload of a stored job. Raises json_format.ParseError.

    Fields that a later release has added are left out.
    """
    return json_format.Parse(text, JOBS[job_type].payload(), ignore_unknown_fields=True)
