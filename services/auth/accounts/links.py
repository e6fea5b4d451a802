"""Links that are mailed to the owners of accounts: each carries a one-time token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from services.auth.credentials.one_time_tokens import IssuedToken, Purpose, issue_token
from services.auth.mail.notices import Addressee
from services.auth.mail.parameters import MailParameters
from services.auth.mail.send_mail import make_mail
from shared.db.pool import Connection
from shared.jobs.queue import enqueue
from shared.runtime.server_key import ServerKey

# Where the website takes the token. The mails are called as the purposes.
PATHS: Mapping[Purpose, str] = {
    Purpose.VERIFY_EMAIL: "/verify-email/",
    Purpose.CHANGE_EMAIL: "/verify-email/",
    Purpose.RESET_PASSWORD: "/reset-password/",
}


async def mail_link(
    connection: Connection,
    key: ServerKey,
    purpose: Purpose,
    addressee: Addressee,
    shown: Mapping[str, str] | None = None,
    life: timedelta | None = None,
    **context: str,
) -> IssuedToken:
    """Issues a token for a purpose and mails the link. It is good while the account has this address.

    `shown` are further parameters of the mail; `life` is in the place of that of the purpose; `context` is
    kept beside the token.
    """
    issued = await issue_token(
        connection,
        purpose,
        addressee.user_id,
        life=life,
        email_key=addressee.email_key,
        **context,
    )
    parameters = {
        "username": addressee.username,
        "link": PATHS[purpose] + issued.secret,
        "token": issued.secret,
        "expires": f"{issued.expires:%Y-%m-%d %H:%M} UTC",
        **(shown or {}),
    }
    mail = make_mail(
        key, purpose.value, addressee.user_id, MailParameters(parameters), address=addressee.email
    )
    await enqueue(connection, mail)
    return issued
