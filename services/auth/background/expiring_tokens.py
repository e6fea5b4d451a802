"""The job that tells owners of API tokens which end soon."""

from __future__ import annotations

from datetime import timedelta

from dits.auth.v1.notification_service_pb2 import NotificationType
from dits.common.v1.job_pb2 import JobProgress, NotifyExpiringTokensPayload

from services.auth.notifications import texts
from services.auth.notifications.catalog import Draft
from services.auth.notifications.delivery import deliver
from services.auth.notifications.mails import enqueue_mails
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.jobs.running_job import RunningJob
from shared.jobs.schedule import Schedule
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

SCHEDULE = Schedule("notify of expiring tokens", "53 * * * *", NotifyExpiringTokensPayload())

NOTICE = timedelta(days=7)
BATCH = 500


class ExpiryNotifier:
    """Notifies of each token once, some at a time; another attempt goes on with the others."""

    def __init__(self, key: ServerKey, batch: int = BATCH) -> None:
        self._key = key
        self._batch = batch

    async def handle(self, job: RunningJob, _payload: NotifyExpiringTokensPayload) -> JobProgress:
        """Works on a job; returns how many tokens it has told of."""
        done, count = 0, self._batch
        while count == self._batch:
            count = await job.database.transaction(self._notify_some)
            done += count
            await job.report_progress(done)
        return JobProgress(done=done)

    async def _notify_some(self, connection: Connection) -> int:
        rows = await connection.fetch(Q.take_expiring_tokens, NOTICE, self._batch)
        mailed = await deliver(connection, [_compose_draft(row) for row in rows])
        await enqueue_mails(connection, self._key, mailed)
        return len(rows)


def _compose_draft(row: Row) -> Draft:
    title, message = texts.describe_token_end(row["name"], row["expires_at"])
    return Draft(
        user_id=row["user_id"],
        type=NotificationType.NOTIFICATION_TYPE_TOKEN_EXPIRING,
        source_id=row["id"],
        repository_id=None,
        title=title,
        message=message,
        link=texts.TOKENS_LINK,
    )
