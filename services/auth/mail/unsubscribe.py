"""Signed texts that turn one preference of one user off, without a login."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from shared.errors import invalid_field
from shared.runtime.server_key import ServerKey

_ID_BYTES = 16
_MAC_BYTES = 16
_PURPOSE = b"unsubscribe"


def write_token(key: ServerKey, user_id: UUID, preference: str) -> str:
    """Returns the token that turns a preference off."""
    mac = key.mac(_PURPOSE, user_id.bytes, preference.encode())
    return base64.urlsafe_b64encode(user_id.bytes + mac + preference.encode()).decode().rstrip("=")


def read_token(key: ServerKey, token: str) -> tuple[UUID, str]:
    """Returns user and preference of a token. Raises INVALID_FIELD if the server has not written it."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    user_id, mac = raw[:_ID_BYTES], raw[_ID_BYTES : _ID_BYTES + _MAC_BYTES]
    preference = raw[_ID_BYTES + _MAC_BYTES :]
    if not key.has_made(mac, _PURPOSE, user_id, preference):
        raise invalid_field("token", "was not issued by this server")
    return UUID(bytes=user_id), preference.decode()
