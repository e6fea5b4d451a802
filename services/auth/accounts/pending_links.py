"""Links that were mailed, or would have been, and are good still: for an operator without a mail server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from dits.common.v1.job_pb2 import JobType, SendMailPayload

from services.auth.mail.parameters import unseal_parameters
from services.auth.mail.templates import TEMPLATES
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import not_found
from shared.formats.credentials import token_hash
from shared.jobs.queue import decode_payload
from shared.records.audit import AuditAction, audit
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class PendingLink:
    """A link that waits to be opened.

    Attributes:
        name: of the account, or the address that was invited.
        address: where the mail goes.
        link: without the address of the website.
    """

    purpose: str
    name: str
    address: str
    token: str = field(repr=False)
    link: str = field(repr=False)
    expires: datetime


async def show_links(
    connection: Connection, key: ServerKey, name: str | None
) -> Sequence[PendingLink]:
    """Returns the links that are good still, of one account (None = of all); each is audited as shown.

    Those sealed with another key are left out. Raises NOT_FOUND for a name of neither.
    """
    if name is not None and not await connection.fetchval(Q.is_known, name):
        raise not_found("user_or_invited_address", name)
    templates = [name for name, template in TEMPLATES.items() if template.is_link_logged]
    rows = await connection.fetch(Q.list_mails, templates)
    mails = _read_mails(key, [row["payload"] for row in rows])
    found = []
    for row in await connection.fetch(Q.find_live, list(mails)):
        if name is not None and row["name"].lower() != name.lower():
            continue
        address, values = mails[row["token_hash"]]
        found.append(
            PendingLink(
                row["purpose"],
                row["name"],
                address,
                values["token"],
                values["link"],
                row["expires_at"],
            )
        )
        await audit(
            connection, None, AuditAction.LINK_SHOWN, row["resource_type"], row["resource_id"],
            row["name"], purpose=row["purpose"],
        )  # fmt: skip
    return found


def _read_mails(
    key: ServerKey, payloads: Sequence[str]
) -> Mapping[str, tuple[str, Mapping[str, str]]]:
    """Returns address and parameters of mails, by the hashes of their tokens."""
    mails = {}
    for text in payloads:
        payload = cast(SendMailPayload, decode_payload(JobType.JOB_TYPE_SEND_MAIL, text))
        parameters = unseal_parameters(key, payload.sealed_parameters)
        if parameters is not None:
            mails[token_hash(parameters.values["token"])] = (payload.address, parameters.values)
    return mails
