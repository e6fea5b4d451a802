"""Cursors of Watch: signed positions in the outbox of one database."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import NamedTuple
from uuid import UUID

from shared.errors import DomainError, invalid_field
from shared.runtime.server_key import ServerKey

_MAC_BYTES = 16


class EventPosition(NamedTuple):
    """A place in the order of events.

    Attributes:
        database_id: the database whose transactions these are.
        xid: the transaction, as PostgreSQL writes an xid8.
        event_id: the event within the transaction; 0 = before all of its events.
    """

    database_id: str
    xid: str
    event_id: int


class CursorSeal:
    """Makes cursors for the events of a repository, and reads them."""

    def __init__(self, key: ServerKey, repository_id: UUID) -> None:
        self._key = key
        self._repository_id = repository_id

    def write_cursor(self, position: EventPosition) -> str:
        """Returns the cursor of a position."""
        payload = json.dumps(position, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(payload) + payload).decode()

    def read_cursor(self, cursor: str) -> EventPosition:
        """Returns the position of a cursor. Raises INVALID_FIELD if it is not one of this repository."""
        try:
            raw = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
        except binascii.Error:
            raise _foreign_cursor() from None
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload)):
            raise _foreign_cursor()
        return EventPosition(*json.loads(payload))

    def _mac(self, payload: bytes) -> bytes:
        return self._key.mac(b"watch", self._repository_id.bytes, payload)


def _foreign_cursor() -> DomainError:
    return invalid_field("cursor", "was not issued by this server for this repository")
