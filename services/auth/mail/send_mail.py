"""Jobs that send one mail each, at least once and always under the same Message-ID.

The address is looked up when the mail goes: a user who is deleted by then gets none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import UUID

import structlog
from dits.common.v1.job_pb2 import JobProgress, SendMailPayload

from services.auth.mail.message import AddressError, MailHeaders, build_message
from services.auth.mail.parameters import MailParameters, unseal_parameters
from services.auth.mail.templates import TEMPLATES, render_mail
from services.auth.mail.transport import MailDelayed, MailRefused, MailTransport
from services.auth.mail.unsubscribe import write_token
from shared.db import sql
from shared.db.pool import Database
from shared.jobs.running_job import PermanentFailure, RetryLater, RunningJob
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)
log = structlog.get_logger(__name__)


def make_mail(
    key: ServerKey,
    template: str,
    user_id: UUID | None,
    parameters: MailParameters,
    *,
    address: str = "",
    preference: str = "",
) -> SendMailPayload:
    """Returns the payload of a job that sends a mail to a user.

    Without an `address` it goes to the user's own; with one, there need be no user. If there is a
    `preference`, a link turns it off. A parameter `link` that begins with a slash is below the address of
    the website. Raises KeyError for an unknown template.
    """
    if template not in TEMPLATES:
        raise KeyError(template)
    return SendMailPayload(
        template=template,
        user_id=str(user_id or ""),
        address=address,
        preference=preference,
        sealed_parameters=parameters.seal(key),
    )


class MailSender:
    """The handler of these jobs."""

    def __init__(self, settings: Settings, key: ServerKey) -> None:
        self._website = settings.website_url or ""
        self._login_address = settings.login_address or ""
        self._key = key
        self._transport = MailTransport(settings)

    async def handle(self, job: RunningJob, payload: SendMailPayload) -> JobProgress:
        """Sends the mail, or logs that there is no mail server."""
        template = TEMPLATES.get(payload.template)
        parameters = unseal_parameters(self._key, payload.sealed_parameters)
        if template is None or parameters is None:
            raise PermanentFailure("the mail was made by another release or under another key")
        recipient = await _find_recipient(
            job.database, payload, is_verified_only=template.is_verified_only
        )
        if not recipient:
            return JobProgress(note="the user has no address for it")
        about = {"template": payload.template, "user": payload.user_id, "job": str(job.id)}
        parameters = self._complete_addresses(parameters)
        if not self._transport.is_configured:
            if template.is_link_logged:
                about["link"] = parameters.values["link"]
            log.info("a mail is not sent: no mail server is set (smtp_host)", **about)
            return JobProgress(note="no mail server is set")
        await self._send(job, payload, parameters, recipient)
        log.info("a mail was sent", **about)
        return JobProgress(done=1)

    async def _send(
        self,
        job: RunningJob,
        payload: SendMailPayload,
        parameters: MailParameters,
        recipient: str,
    ) -> None:
        token = ""
        if payload.preference:
            token = write_token(self._key, UUID(payload.user_id), payload.preference)
        url = f"{self._website}/unsubscribe?token={token}" if token and self._website else ""
        how = url or f"dits notifications unsubscribe {token}"
        unsubscribe = {"preference": payload.preference, "how": how} if token else None
        headers = MailHeaders(self._transport.sender, recipient, str(job.id), url)
        try:
            # Long texts that are not ASCII take their time.
            content = await asyncio.to_thread(
                _write_mail, headers, payload.template, parameters, unsubscribe
            )
            await self._transport.send_message(content, recipient)
        except AddressError as error:
            raise PermanentFailure(f"the user's address: {error}") from None
        except MailRefused as error:
            raise PermanentFailure(f"the mail server refused it: {error}") from None
        except MailDelayed as error:
            raise RetryLater(f"the mail server did not take it: {error}") from None

    def _complete_addresses(self, parameters: MailParameters) -> MailParameters:
        """Returns the parameters with links to the website and the option of commands, as far as known."""
        values, *items = [
            {**each, "link": self._website + each["link"]}
            if each.get("link", "").startswith("/")
            else each
            for each in (parameters.values, *parameters.items)
        ]
        server = f" --server {self._login_address}" if self._login_address else ""
        return MailParameters({**values, "server": server}, items)


def _write_mail(
    headers: MailHeaders,
    template: str,
    parameters: MailParameters,
    unsubscribe: Mapping[str, str] | None,
) -> bytes:
    """Returns a mail as it goes over the wire. Raises AddressError."""
    return bytes(build_message(headers, render_mail(template, parameters, unsubscribe)))


async def _find_recipient(
    database: Database, payload: SendMailPayload, *, is_verified_only: bool
) -> str | None:
    """Returns the address that a mail goes to; None if the user is gone, or has not verified it."""
    if not payload.user_id:
        return payload.address
    row = await database.fetchrow(Q.recipient, UUID(payload.user_id))
    if row is None or row["status"] == "deleted":
        return None
    if is_verified_only and not (row["email_verified"] and row["status"] == "active"):
        return None
    return payload.address or str(row["email"])
