"""What has to go from the tables that every database has: old events, request ids, jobs and partitions."""

from __future__ import annotations

from datetime import timedelta

from dits.common.v1 import job_pb2 as pb
from dits.common.v1.job_pb2 import JobProgress, JobType

from shared.db import sql
from shared.jobs.running_job import Handler, RunningJob
from shared.jobs.schedule import Schedule
from shared.jobs.table_purge import BATCH, TablePurge
from shared.runtime.config import Settings

Q = sql.load(__file__)

# How long watchers and webhooks can come back to where they were.
EVENTS_KEPT = timedelta(days=30)
# How long a repetition gets the first result.
REQUEST_IDS_KEPT = timedelta(hours=24)
# How long a job that has ended can be looked at, and how long one that has failed can be requeued.
JOBS_KEPT = timedelta(days=7)
DEAD_LETTERS_KEPT = timedelta(days=90)
# How many months beyond the present one have their partitions.
MONTHS_AHEAD = 3

SHARED_SCHEDULES = (
    Schedule("purge events", "7 * * * *", pb.PurgeEventsPayload()),
    Schedule("purge request ids", "22 * * * *", pb.PurgeRequestIdsPayload()),
    Schedule("purge jobs", "37 * * * *", pb.PurgeJobsPayload()),
    Schedule("maintain partitions", "52 0 * * *", pb.MaintainPartitionsPayload()),
)


def list_shared_jobs(settings: Settings) -> dict[JobType.ValueType, Handler]:
    """Returns the handlers of the jobs that every service works on, in its own database."""
    return {
        JobType.JOB_TYPE_PURGE_EVENTS: purge_events().handle,
        JobType.JOB_TYPE_PURGE_REQUEST_IDS: purge_request_ids().handle,
        JobType.JOB_TYPE_PURGE_JOBS: purge_jobs().handle,
        JobType.JOB_TYPE_MAINTAIN_PARTITIONS: PartitionMaintenance(settings).handle,
    }


def purge_events(batch: int = BATCH) -> TablePurge:
    """Returns what deletes old events, but for those that a consumer has yet to read."""
    return TablePurge(Q.purge_events, EVENTS_KEPT, batch=batch)


def purge_request_ids(batch: int = BATCH) -> TablePurge:
    """Returns what deletes old request ids."""
    return TablePurge(Q.purge_idempotency_keys, REQUEST_IDS_KEPT, batch=batch)


def purge_jobs(batch: int = BATCH) -> TablePurge:
    """Returns what deletes old jobs; those that have failed go with their dead letters."""
    return TablePurge(Q.purge_jobs, JOBS_KEPT, DEAD_LETTERS_KEPT, batch=batch)


class PartitionMaintenance:
    """Looks after the monthly partitions of the audit log and of usage."""

    def __init__(self, settings: Settings) -> None:
        self._months = {"audit_log": settings.audit_months, "usage_metrics": settings.usage_months}

    async def handle(self, job: RunningJob, _payload: pb.MaintainPartitionsPayload) -> JobProgress:
        """Makes partitions and drops old ones; returns how many."""
        done = len(await job.database.statement(Q.make_partitions, MONTHS_AHEAD))
        for table, months in self._months.items():
            if months:
                job.check_cancelled()
                done += len(await job.database.statement(Q.drop_partitions, table, months))
        return JobProgress(done=done)
