"""Hands mails to the operator's mail server, and tells failures that pass from those that do not."""

from __future__ import annotations

import asyncio
import ssl

import aiosmtplib
import structlog

from shared.rpc.validation import plain_text
from shared.runtime.config import Settings

log = structlog.get_logger(__name__)

# One mail may take as many times the time of one answer.
ANSWERS = 4
MAX_ANSWER = 200


class MailRefused(Exception):  # noqa: N818  it is no defect
    """The mail server will never take this mail for this address."""


class MailDelayed(Exception):  # noqa: N818  it is no defect
    """The mail server did not take the mail now."""


class MailTransport:
    """Speaks SMTP with the server of the settings: one connection for each mail."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls: ssl.SSLContext | None = None

    @property
    def is_configured(self) -> bool:
        """Whether there is a mail server."""
        return self._settings.smtp_host is not None

    @property
    def sender(self) -> str:
        """The address that mails come from."""
        return self._settings.smtp_from or f"dits@{self._settings.smtp_host or 'localhost'}"

    async def send_message(self, content: bytes, recipient: str) -> None:
        """Returns once the mail server has taken a mail. Raises MailRefused or MailDelayed."""
        try:
            async with asyncio.timeout(self._settings.smtp_seconds * ANSWERS):
                await self._send(content, recipient)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _judge(error.recipients[0]) from None
        except (aiosmtplib.SMTPDataError, aiosmtplib.SMTPRecipientRefused) as error:
            raise _judge(error) from None
        except aiosmtplib.SMTPNotSupported as error:
            # The address has letters that this server does not know.
            raise MailRefused(plain_text(str(error), MAX_ANSWER)) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            # Also what the server says for good of the login or the sender: the operator mends that.
            reason = plain_text(str(error) or type(error).__name__, MAX_ANSWER)
            log.warning("the mail server does not take mails", cause=reason)
            raise MailDelayed(reason) from None

    async def _send(self, content: bytes, recipient: str) -> None:
        settings = self._settings
        if self._tls is None and settings.smtp_tls != "none":
            # It reads hundreds of certificates.
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        await aiosmtplib.send(
            content,
            sender=self.sender,
            recipients=[recipient],
            mail_options=[] if recipient.isascii() else ["SMTPUTF8"],
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username,
            password=settings.smtp_password,
            local_hostname=self.sender.rpartition("@")[2],
            use_tls=settings.smtp_tls == "tls",
            start_tls=settings.smtp_tls == "starttls",
            tls_context=self._tls,
            timeout=settings.smtp_seconds,
        )


def _judge(error: aiosmtplib.SMTPResponseException) -> MailRefused | MailDelayed:
    """Returns what an answer about this mail or this address means."""
    answer = plain_text(f"{error.code} {error.message}", MAX_ANSWER)
    return MailRefused(answer) if error.code >= 500 else MailDelayed(answer)
