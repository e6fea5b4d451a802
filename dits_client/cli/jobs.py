"""`dits jobs`."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from dits.common.v1.job_pb2 import Job, JobStatus, JobType
from dits.common.v1.job_service_pb2 import ListJobsRequest
from google.protobuf.json_format import MessageToJson

from dits_client.cli.session import connect
from dits_client.cli.table import name_value, tell_if_empty
from dits_client.errors import ClientError
from dits_client.server.jobs import Jobs
from dits_client.terminal import escape_text

PAGE = 1000


def handle_list(arguments: Namespace) -> None:
    """List jobs, newest first."""
    limit = max(arguments.limit, 0) or None
    request = ListJobsRequest(
        repository=arguments.repository,
        everybody=arguments.everybody,
        status=_parse_status(arguments.status),
        page_size=min(limit or PAGE, PAGE),
    )
    with _connect_to_jobs(arguments) as jobs:
        found = islice(jobs.list_jobs(request), limit)
        for job in tell_if_empty(found, "No jobs.", as_json=arguments.json):
            _print(job, as_json=arguments.json)


def handle_show(arguments: Namespace) -> None:
    """Show a job."""
    with _connect_to_jobs(arguments) as jobs:
        _print(jobs.get_job(arguments.id), as_json=arguments.json)


def handle_watch(arguments: Namespace) -> None:
    """Print a job whenever it changes; raise ClientError if it fails or is cancelled."""
    job = Job()
    with _connect_to_jobs(arguments) as jobs:
        for changed in jobs.watch_job(arguments.id):
            if changed != job:
                _print(changed, as_json=arguments.json)
            job = changed
    if job.status != JobStatus.JOB_STATUS_COMPLETED:
        raise ClientError(f"the job is {_name_status(job)}")


def handle_cancel(arguments: Namespace) -> None:
    """Cancel a job."""
    with _connect_to_jobs(arguments) as jobs:
        _print(jobs.cancel_job(arguments.id), as_json=arguments.json)


def handle_requeue(arguments: Namespace) -> None:
    """Begin the work of failed jobs anew; for operators."""
    with _connect_to_jobs(arguments) as jobs:
        for job_id in arguments.ids:
            _print(jobs.requeue_job(job_id), as_json=arguments.json)


@contextmanager
def _connect_to_jobs(arguments: Namespace) -> Iterator[Jobs]:
    """Connect to all services, of the cell of a repository if one is named."""
    with connect() as (client, _):
        named = arguments.repository
        yield Jobs(client, client.locate_repository(named) if named else client.services)


def _parse_status(name: str | None) -> JobStatus.ValueType:
    return JobStatus.Value(f"JOB_STATUS_{(name or 'unspecified').upper()}")


def _name_status(job: Job) -> str:
    return name_value(JobStatus, job.status, "JOB_STATUS_")


def _print(job: Job, *, as_json: bool) -> None:
    if as_json:
        print(MessageToJson(job, preserving_proto_field_name=True, indent=None), flush=True)
        return
    when = job.create_time.ToDatetime().isoformat(" ", "seconds") + " UTC"
    kind = name_value(JobType, job.type, "JOB_TYPE_")
    parts = [job.id, when, kind, _name_status(job), *_describe(job)]
    print(escape_text("  ".join(parts)), flush=True)


def _describe(job: Job) -> Iterator[str]:
    """Yield what there is to say about a job besides its type and status."""
    if job.cancel_requested and job.status == JobStatus.JOB_STATUS_RUNNING:
        yield "to be cancelled"
    if job.progress.total:
        yield f"{job.progress.done} of {job.progress.total}"
    elif job.progress.done:
        yield str(job.progress.done)
    if job.progress.note:
        yield job.progress.note
    if job.attempts > 1:
        yield f"attempt {job.attempts} of {job.max_attempts}"
    if job.error:
        yield f"({job.error})"
