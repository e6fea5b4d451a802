"""Links that anybody may ask for, for any account.

The call only puts a job on the queue, whether there is such an account or not, so that neither its answer
nor its time tells. The job looks for the account.
"""

from __future__ import annotations

from dits.common.v1.job_pb2 import JobProgress, SendAccountLinkPayload

from services.auth.accounts.links import mail_link
from services.auth.credentials import throttles
from services.auth.credentials.one_time_tokens import Purpose
from services.auth.mail.notices import Addressee
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import DomainError, Reason
from shared.jobs.queue import enqueue
from shared.jobs.running_job import PermanentFailure, RunningJob
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

_CONTEXT = b"login that a link is asked for"


async def request_link(
    database: Database, key: ServerKey, purpose: Purpose, login: str, address: str | None
) -> None:
    """Has a link mailed to the account behind a login, folded, if there is one.

    Raises RATE_LIMITED if too many are asked for from the address.
    """
    await throttles.reserve(database, throttles.link_buckets(address))
    payload = SendAccountLinkPayload(
        purpose=purpose, sealed_login=key.seal(login.encode(), _CONTEXT)
    )

    async def put(connection: Connection) -> None:
        await enqueue(connection, payload)

    await database.transaction(put)


class LinkSender:
    """The handler of the jobs that `request_link` puts on the queue."""

    def __init__(self, key: ServerKey) -> None:
        self._key = key

    async def handle(self, job: RunningJob, payload: SendAccountLinkPayload) -> JobProgress:
        """Mails the link, unless there is no such account, or it got too many, or needs none."""
        login = self._key.unseal(payload.sealed_login, _CONTEXT)
        if login is None:
            raise PermanentFailure("the request was made under another key")
        purpose = Purpose(payload.purpose)
        row = await job.database.fetchrow(Q.find_account, login.decode())
        if row is None or (purpose is Purpose.VERIFY_EMAIL and row["email_verified"]):
            return JobProgress(note="nobody needs it")
        if not await _is_within_limit(job.database, purpose, row):
            return JobProgress(note="the account has got too many")

        async def send(connection: Connection) -> None:
            await mail_link(connection, self._key, purpose, Addressee.of(row))

        await job.database.transaction(send)
        return JobProgress(done=1)


async def _is_within_limit(database: Database, purpose: Purpose, row: Row) -> bool:
    """Returns whether the account may get one more link, and counts it."""
    try:
        await throttles.reserve(database, throttles.mailed_buckets(purpose, row["id"]))
    except DomainError as error:
        if error.reason != Reason.ERROR_REASON_RATE_LIMITED:
            raise
        return False
    return True
