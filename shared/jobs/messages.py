"""Jobs as messages of the API."""

from __future__ import annotations

from dits.common.v1.job_pb2 import Job, JobProgress, JobStatus, JobType
from google.protobuf import json_format

from shared.db.pool import Row
from shared.jobs.catalog import NAMES, TYPES
from shared.jobs.queue import decode_payload

_PREFIX = "JOB_STATUS_"
# The names under which the database knows them: `pending`.
STATUS_NAMES: dict[JobStatus.ValueType, str] = {
    value: name.removeprefix(_PREFIX).lower()
    for name, value in JobStatus.items()
    if value != JobStatus.JOB_STATUS_UNSPECIFIED
}
_STATUSES = {name: status for status, name in STATUS_NAMES.items()}
ENDED = frozenset({"completed", "failed", "cancelled"})


def describe_job(row: Row, *, shows_payload: bool) -> Job:
    """Returns the message of a row of `jobs`."""
    job = Job(
        id=str(row["id"]),
        type=TYPES.get(row["job_type"], JobType.JOB_TYPE_UNSPECIFIED),
        queue=row["queue"],
        status=_STATUSES[row["status"]],
        priority=row["priority"],
        attempts=row["attempts"],
        max_attempts=row["max_attempts"],
        create_time=row["created_at"],
        schedule_time=row["scheduled_at"],
        start_time=row["started_at"],
        end_time=row["completed_at"],
        cancel_requested=row["cancel_requested_at"] is not None,
        repository_id=_text(row["repo_id"]),
        requester_id=_text(row["requested_by"]),
        error=row["error"] or "",
    )
    if row["result"] is not None:
        # A later release may say more.
        progress = json_format.Parse(row["result"], JobProgress(), ignore_unknown_fields=True)
        job.progress.CopyFrom(progress)
    if shows_payload and job.type in NAMES:
        _add_payload(job, row["payload"])
    return job


def _add_payload(job: Job, text: str) -> None:
    """Sets the payload; one that is not of the job's type is left out."""
    try:
        payload = decode_payload(job.type, text)
    except json_format.ParseError:
        return
    field = getattr(job, NAMES[job.type])
    field.SetInParent()
    field.CopyFrom(payload)


def _text(value: object) -> str:
    return "" if value is None else str(value)
