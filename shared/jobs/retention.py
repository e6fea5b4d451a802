"""What has to go from the tables that every service writes: old events and request ids."""

from __future__ import annotations

from datetime import timedelta

from dits.common.v1.job_pb2 import JobType, PurgeEventsPayload, PurgeRequestIdsPayload

from shared.db import sql
from shared.jobs.running_job import Handler
from shared.jobs.schedule import Schedule
from shared.jobs.table_purge import BATCH, TablePurge

Q = sql.load(__file__)

# How long watchers and webhooks can come back to where they were.
EVENTS_KEPT = timedelta(days=30)
# How long a repetition gets the first result.
REQUEST_IDS_KEPT = timedelta(hours=24)

SHARED_SCHEDULES = (
    Schedule("purge events", "7 * * * *", PurgeEventsPayload()),
    Schedule("purge request ids", "22 * * * *", PurgeRequestIdsPayload()),
)


def list_shared_jobs(batch: int = BATCH) -> dict[JobType.ValueType, Handler]:
    """Returns the handlers of the jobs that every service works on, in its own database."""
    return {
        JobType.JOB_TYPE_PURGE_EVENTS: purge_events(batch).handle,
        JobType.JOB_TYPE_PURGE_REQUEST_IDS: purge_request_ids(batch).handle,
    }


def purge_events(batch: int = BATCH) -> TablePurge:
    """Returns what deletes old events, but for those that a consumer has yet to read."""
    return TablePurge(Q.purge_events, EVENTS_KEPT, batch=batch)


def purge_request_ids(batch: int = BATCH) -> TablePurge:
    """Returns what deletes old request ids."""
    return TablePurge(Q.purge_idempotency_keys, REQUEST_IDS_KEPT, batch=batch)
