"""Secrets of webhooks, and the headers by which receivers know that a request is genuine."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from uuid import UUID

from shared.errors import invalid_field
from shared.runtime.server_key import ServerKey

PREFIX = "dits_whs_"
_SECRET = re.compile(r"[!-~]{16,255}")


def parse_secret(secret: str) -> str:
    """Returns a secret that was given, or a new one if it is empty. Raises INVALID_FIELD."""
    if not secret:
        return PREFIX + secrets.token_urlsafe(32)
    if not _SECRET.fullmatch(secret):
        raise invalid_field("secret", "must have 16 to 255 printable ASCII characters, no spaces")
    return secret


def seal_secret(key: ServerKey, webhook_id: UUID, secret: str) -> bytes:
    """Encrypts the secret of a webhook, for this webhook alone."""
    return key.seal(secret.encode(), secret_context(webhook_id))


def unseal_secret(key: ServerKey, webhook_id: UUID, sealed: bytes) -> str | None:
    """Decrypts the secret of a webhook; None if the server has another key now."""
    plain = key.unseal(sealed, secret_context(webhook_id))
    return None if plain is None else plain.decode()


def sign(secret_texts: Sequence[str], timestamp: int, body: bytes) -> str:
    """Returns X-Dits-Signature: a signature with each secret over the timestamp, a dot and the body."""
    signed = b"%d." % timestamp + body
    return ",".join(
        "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        for secret in secret_texts
    )


def secret_context(webhook_id: UUID) -> bytes:
    """Returns what binds a sealed secret to its webhook."""
    return b"webhook\0" + webhook_id.bytes
