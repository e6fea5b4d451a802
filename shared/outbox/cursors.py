"""Cursors of Watch: signed positions in the outbox of one database."""

from __future__ import annotations

import base64
import binascii
import json

from shared.errors import DomainError, invalid_field
from shared.outbox.stored_event import EventPosition
from shared.runtime.server_key import ServerKey

_MAC_BYTES = 16


class CursorSeal:
    """Makes the cursors of one stream, and reads them.

    `stream` says what the stream shows, and to whom if that matters: no other stream takes its cursors.
    """

    def __init__(self, key: ServerKey, *stream: bytes) -> None:
        self._key = key
        self._stream = stream

    def write_cursor(self, position: EventPosition) -> str:
        """Returns the cursor of a position; it begins with no dash, which a command takes for an option."""
        payload = json.dumps(position, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(payload + self._key.mac(*self._parts(payload))).decode()

    def read_cursor(self, cursor: str) -> EventPosition:
        """Returns the position of a cursor. Raises INVALID_FIELD if it is not one of this stream."""
        try:
            raw = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
        except binascii.Error:
            raise _foreign_cursor() from None
        payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not self._key.has_made(mac, *self._parts(payload)):
            raise _foreign_cursor()
        return EventPosition(*json.loads(payload))

    def _parts(self, payload: bytes) -> tuple[bytes, ...]:
        return (b"watch", *self._stream, payload)


def _foreign_cursor() -> DomainError:
    return invalid_field("cursor", "was not issued by this server for this stream")
