"""Digests: one mail to each user of all that is unread and came since the last one."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple
from uuid import UUID

from dits.common.v1.job_pb2 import JobProgress, SendDigestsPayload

from services.auth.mail.send_mail import make_mail
from services.auth.notifications.mails import MAX_ITEMS, MAX_MESSAGE, list_notifications
from services.auth.notifications.preferences import create_preferences
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.jobs.queue import JobRequest, enqueue_all
from shared.jobs.running_job import RunningJob
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# How many users one transaction is for.
BATCH = 50


class _Part(NamedTuple):
    """How far a transaction has come (None = there are no more users), and how many mails it made."""

    last: UUID | None
    mails: int


class DigestSender:
    """The handler of jobs that make the digests of all users who want them now."""

    def __init__(self, key: ServerKey) -> None:
        self._key = key

    async def handle(self, job: RunningJob, payload: SendDigestsPayload) -> JobProgress:
        """Enqueues the mails, some users at a time; another attempt goes on with the others."""
        done, after = 0, UUID(int=0)
        while True:
            work = partial(self._process_users, period=payload.period, after=after)
            part = await job.database.transaction(work)
            done += part.mails
            await job.report_progress(done)
            if part.last is None:
                return JobProgress(done=done)
            after = part.last

    async def _process_users(self, connection: Connection, period: str, after: UUID) -> _Part:
        """Enqueues the digests of the next users with news, and notes what they were offered."""
        users = [row["user_id"] for row in await connection.fetch(Q.lock_inboxes, after, BATCH)]
        if not users:
            return _Part(None, 0)
        await create_preferences(connection, users)
        rows = await connection.fetch(
            *Q.bind.digests(
                user_ids=users, period=period, count=MAX_ITEMS, message_length=MAX_MESSAGE
            )
        )
        digests: dict[UUID, list[Row]] = {}
        for row in rows:
            digests.setdefault(row["user_id"], []).append(row)
        await connection.execute(Q.mark_digested, users, period)
        requests = [self._make_digest(user_id, rows) for user_id, rows in digests.items()]
        if requests:
            await enqueue_all(connection, requests)
        return _Part(users[-1], len(requests))

    def _make_digest(self, user_id: UUID, rows: list[Row]) -> JobRequest:
        parameters = list_notifications(rows, rows[0]["count"])
        payload = make_mail(self._key, "notifications", user_id, parameters, preference="digest")
        return JobRequest(payload)
