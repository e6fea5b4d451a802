"""Using up the token of a mailed link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from services.auth.credentials.one_time_tokens import Purpose, spend_token
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import unauthenticated
from shared.formats.credentials import token_hash
from shared.rpc import validation

Q = sql.load(__file__)

MAX_CHARACTERS = 100
# The same words for every failure.
WRONG = "this link is not good, or not any more: ask for another one"


@dataclass(frozen=True, slots=True)
class SpentLink:
    """A link that was good, and is not any more; its account is locked."""

    purpose: Purpose
    user_id: UUID
    context: Mapping[str, str]


def parse_token(token: str) -> str:
    """Returns the token of a link. Raises INVALID_FIELD."""
    return validation.text("token", token, least=1, most=MAX_CHARACTERS)


async def spend_link(connection: Connection, token: str, *purposes: Purpose) -> SpentLink:
    """Locks the account of a token, and uses the token up. Raises UNAUTHENTICATED.

    It is good for accounts that are neither barred nor deleted, while they have the address of then.
    """
    row = await connection.fetchrow(Q.lock_link, list(purposes), token_hash(token))
    if row is None or row["status"] not in ("active", "pending_verification"):
        raise unauthenticated(WRONG)
    purpose = Purpose(row["purpose"])
    spent = await spend_token(connection, purpose, token)
    if spent is None or spent.context["email_key"] != row["email_key"]:
        raise unauthenticated(WRONG)
    return SpentLink(purpose, row["id"], spent.context)
