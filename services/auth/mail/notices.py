"""Mails that tell the owner of an account what has just happened to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from uuid import UUID

from services.auth.mail.parameters import MailParameters
from services.auth.mail.send_mail import make_mail
from shared.db.pool import Connection, Row
from shared.jobs.queue import enqueue
from shared.runtime.server_key import ServerKey


@dataclass(frozen=True, slots=True)
class Addressee:
    """An account, and the address that a mail to it goes to.

    Attributes:
        email_key: the account's own address, folded.
    """

    user_id: UUID
    username: str
    email: str
    email_key: str

    @classmethod
    def of(cls, row: Row) -> Self:
        """Returns the account of a row of users, at its own address."""
        return cls(row["id"], row["username"], row["email"], row["email_key"])


async def mail_notice(
    connection: Connection, key: ServerKey, template: str, addressee: Addressee, **shown: str
) -> None:
    """Mails the owner of an account what has just happened to it, without a link."""
    parameters = MailParameters({"username": addressee.username, **shown})
    # To the address alone: users that are deleted get no mail.
    mail = make_mail(key, template, None, parameters, address=addressee.email)
    await enqueue(connection, mail)
