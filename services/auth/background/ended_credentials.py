"""The job of every night that deletes credentials which ended long ago."""

from __future__ import annotations

from datetime import timedelta

from dits.common.v1.job_pb2 import JobProgress, PurgeCredentialsPayload

from shared.db import sql
from shared.jobs.running_job import RunningJob
from shared.jobs.schedule import Schedule
from shared.jobs.table_purge import TablePurge

Q = sql.load(__file__)

SCHEDULE = Schedule("purge credentials", "41 2 * * *", PurgeCredentialsPayload())

# How long their owners can look at them.
SESSIONS_KEPT = timedelta(days=30)
API_TOKENS_KEPT = timedelta(days=90)
ONE_TIME_TOKENS_KEPT = timedelta(days=1)
INVITATIONS_KEPT = timedelta(days=90)
# Each row may send a notification.
BATCH = 1000


class CredentialPurge:
    """Purges sessions, API tokens, one-time tokens and invitations."""

    def __init__(self, batch: int = BATCH) -> None:
        self._purges = [
            TablePurge(Q.purge_sessions, SESSIONS_KEPT, batch=batch),
            TablePurge(Q.purge_api_tokens, API_TOKENS_KEPT, batch=batch),
            TablePurge(Q.purge_one_time_tokens, ONE_TIME_TOKENS_KEPT, batch=batch),
            TablePurge(Q.purge_invitations, INVITATIONS_KEPT, batch=batch),
        ]

    async def handle(self, job: RunningJob, payload: PurgeCredentialsPayload) -> JobProgress:
        """Works on a job; returns how many credentials it has deleted."""
        done = [await purge.handle(job, payload) for purge in self._purges]
        return JobProgress(done=sum(progress.done for progress in done))
