"""Challenges: what a caller answers to go on. The server does not store them: they are sealed with its key.

Strangers may ask for any number of them. What is kept, by `one_time_tokens.spend_sealed`, is that one was
used.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from services.auth.credentials.one_time_tokens import LIFE, Purpose
from shared.db import sql
from shared.db.pool import Database
from shared.rpc.timestamps import to_timestamp
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# A login of 254 characters, which may fold to three times as many, sealed and in base64.
MAX_CHARACTERS = 8192
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class IssuedChallenge:
    """A challenge: its text, and when it ends."""

    text: str
    expires: Timestamp


@dataclass(frozen=True, slots=True)
class OpenedChallenge:
    """A challenge of this server: its text, what it was issued for, and when it ends."""

    text: str
    subject: str
    expires: datetime


class Challenges:
    """Issues challenges for a purpose and a subject, and reads them."""

    def __init__(self, database: Database, key: ServerKey) -> None:
        self._database = database
        self._key = key

    async def issue(self, purpose: Purpose, subject: str) -> IssuedChallenge:
        """Returns a challenge that is good for the purpose's time.

        The text begins with the id of the server, so that a client can tell when one server passes on the
        challenge of another.
        """
        row = await self._database.fetchrow(Q.clock, LIFE[purpose])
        assert row is not None  # noqa: S101  it has no condition
        plain = ((row["expires"] - _EPOCH) // _MICROSECOND).to_bytes(8, "big") + subject.encode()
        sealed = self._key.seal(plain, _context(purpose, row["server_id"]))
        text = f"{row['server_id']}.{base64.urlsafe_b64encode(sealed).decode()}"
        return IssuedChallenge(text, to_timestamp(row["expires"]))

    def open(self, purpose: Purpose, text: str) -> OpenedChallenge | None:
        """Returns whom a challenge was issued for; None if it is not this server's for the purpose.

        Whether it has ended is judged when it is spent, by the database's clock.
        """
        plain = self._unseal(purpose, text)
        if plain is None:
            return None
        expires = _EPOCH + int.from_bytes(plain[:8], "big") * _MICROSECOND
        return OpenedChallenge(text, plain[8:].decode(), expires)

    def _unseal(self, purpose: Purpose, text: str) -> bytes | None:
        server, _, encoded = text.partition(".")
        try:
            server_id = UUID(server)
            sealed = base64.b64decode(encoded.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        # In one form only: that it was used is kept by its text.
        if text != f"{server_id}.{base64.urlsafe_b64encode(sealed).decode()}":
            return None
        return self._key.unseal(sealed, _context(purpose, server_id))


def _context(purpose: Purpose, server_id: UUID) -> bytes:
    return f"challenge {purpose} {server_id}".encode()
