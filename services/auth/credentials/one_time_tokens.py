"""One-time tokens: what was mailed or issued to be good once. The database keeps their hashes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.formats.credentials import token_hash

Q = sql.load(__file__)


class Purpose(StrEnum):
    """What a token is good for; it is good for nothing else."""

    VERIFY_EMAIL = "verify_email"
    CHANGE_EMAIL = "change_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105  no secret
    MFA_CHALLENGE = "mfa_challenge"
    SSH_CHALLENGE = "ssh_challenge"
    SSH_KEY_PROOF = "ssh_key_proof"


LIFE: Mapping[Purpose, timedelta] = {
    Purpose.VERIFY_EMAIL: timedelta(hours=24),
    Purpose.CHANGE_EMAIL: timedelta(hours=24),
    Purpose.RESET_PASSWORD: timedelta(minutes=15),
    Purpose.MFA_CHALLENGE: timedelta(seconds=60),
    Purpose.SSH_CHALLENGE: timedelta(seconds=60),
    Purpose.SSH_KEY_PROOF: timedelta(minutes=10),
}


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token that was just made.

    Attributes:
        secret: 43 characters of the URL-safe alphabet; it is told once.
    """

    secret: str = field(repr=False)
    expires: datetime


@dataclass(frozen=True, slots=True)
class SpentToken:
    """A token that was good, and is not any more.

    Attributes:
        user_id: whose it was; None = an unknown user's.
        context: what was kept beside it.
    """

    user_id: UUID | None
    context: Mapping[str, str]


def make_secret() -> str:
    """Returns 43 random URL-safe characters, the first no dash: commands take it as an argument."""
    while (secret := secrets.token_urlsafe(32)).startswith("-"):
        pass
    return secret


async def issue_token(
    connection: Connection,
    purpose: Purpose,
    user_id: UUID | None,
    *,
    address: str | None = None,
    life: timedelta | None = None,
    **context: str,
) -> IssuedToken:
    """Makes a token for an account. By default its life is that of its purpose; earlier ones stay good."""
    secret = make_secret()
    expires = await connection.fetchval(
        *Q.bind.issue(
            purpose=purpose,
            user_id=user_id,
            token_hash=token_hash(secret),
            context=json.dumps(context),
            life=life or LIFE[purpose],
            ip_address=address,
        )
    )
    return IssuedToken(secret, expires)


async def spend_token(connection: Connection, purpose: Purpose, secret: str) -> SpentToken | None:
    """Uses a token up, if the transaction commits; None if it is wrong, spent or expired.

    Of two that spend it at once, the second waits for the first one's transaction, and gets None.
    """
    row = await connection.fetchrow(Q.spend, purpose, token_hash(secret))
    return None if row is None else SpentToken(row["user_id"], json.loads(row["context"]))


async def withdraw_tokens(connection: Connection, purpose: Purpose, user_id: UUID) -> None:
    """Ends all tokens of an account for a purpose that were not spent."""
    await connection.execute(Q.withdraw, purpose, user_id)


async def spend_sealed(
    connection: Connection, purpose: Purpose, user_id: UUID, sealed: str, expires: datetime
) -> bool:
    """Uses up a challenge that the server did not store, but sealed; False if it is spent or expired.

    The caller has checked that it is the server's, and for this purpose and account. Of two that spend
    it at once, the second waits for the first one's transaction.
    """
    spent = await connection.fetchval(
        *Q.bind.spend_sealed(
            purpose=purpose, user_id=user_id, token_hash=token_hash(sealed), expires_at=expires
        )
    )
    return spent is not None
