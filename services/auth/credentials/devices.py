"""Device tokens: what a device that logged in shows at the next login, to be told from strangers.

A device token opens nothing. With it, wrong passwords of others never close the login of the device.
"""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from shared.runtime.server_key import ServerKey

MAX_CHARACTERS = 255
_CONTEXT = b"device"


class DeviceTokens:
    """Issues and reads device tokens, which the server does not store: they are sealed with its key."""

    def __init__(self, key: ServerKey) -> None:
        self._key = key

    def issue(self, user_id: UUID, device_id: UUID) -> str:
        """Returns a token for a device of an account."""
        sealed = self._key.seal(user_id.bytes + device_id.bytes, _CONTEXT)
        return base64.urlsafe_b64encode(sealed).decode()

    def find_device(self, token: str, user_id: UUID) -> UUID | None:
        """Returns the device that holds the token; None if it is no token for this account."""
        try:
            sealed = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return None
        plain = self._key.unseal(sealed, _CONTEXT)
        if plain is None or plain[:16] != user_id.bytes:
            return None
        return UUID(bytes=plain[16:])
