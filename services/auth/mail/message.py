"""A mail as it goes over the wire: headers that nothing from outside can break out of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime

from services.auth.mail.templates import MailTexts
from shared.rpc.validation import plain_text

MAX_SUBJECT = 200
UNSUBSCRIBE = "List-Unsubscribe"
# Without quotes, comments and whatever else has a meaning in a header.
_ADDRESS = re.compile(r'([^\s@<>()\[\]\\,;:"]+)@([^\s@<>()\[\]\\,;:"]+)')


class _MailPolicy(EmailPolicy):
    """SMTP's rules, except that List-Unsubscribe stays as it is, where a long line would be encoded."""

    def fold_binary(self, name: str, value: str) -> bytes:
        """Returns the header as it goes over the wire."""
        if name == UNSUBSCRIBE:
            return f"{name}: {value}{self.linesep}".encode()
        return super().fold_binary(name, value)


_POLICY = _MailPolicy(linesep="\r\n", cte_type="7bit")


class AddressError(ValueError):
    """The text cannot be an address in a header."""


@dataclass(frozen=True, slots=True)
class MailHeaders:
    """Who gets a mail from whom.

    Attributes:
        sender: address.
        recipient: address.
        mail_id: the same for each attempt to send it, and of no other mail.
        unsubscribe_url: turns the mail off when it is called; empty = none.
    """

    sender: str
    recipient: str
    mail_id: str
    unsubscribe_url: str = ""


def build_message(headers: MailHeaders, texts: MailTexts) -> EmailMessage:
    """Returns a mail with its text in both forms. Raises AddressError."""
    is_ascii = headers.recipient.isascii()
    message = EmailMessage(policy=_POLICY if is_ascii else _POLICY.clone(utf8=True))
    sender = _parse_address(headers.sender)
    message["From"] = Address("dits", sender.username, sender.domain)
    message["To"] = _parse_address(headers.recipient)
    message["Subject"] = plain_text(texts.subject, MAX_SUBJECT)
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{headers.mail_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if headers.unsubscribe_url:
        message[UNSUBSCRIBE] = f"<{headers.unsubscribe_url}>"
        # RFC 8058: a POST to an https address, without a question.
        if headers.unsubscribe_url.startswith("https:"):
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(texts.text)
    message.add_alternative(texts.html, subtype="html")
    return message


def _parse_address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    if match is None or not text.isprintable():
        raise AddressError("not one address")
    return Address(username=match[1], domain=match[2])
