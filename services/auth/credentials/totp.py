"""Time-based one-time passwords as authenticators make them: RFC 6238, SHA-1, six digits, 30 seconds."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from urllib.parse import quote

SECRET_BYTES = 20
PERIOD_SECONDS = 30
DIGITS = 6
# How many steps the clock of an authenticator may be wrong, in either direction.
TOLERANCE = 1
ISSUER = "dits"

_CODE = re.compile(rf"[0-9]{{{DIGITS}}}")


def make_secret() -> bytes:
    """Returns a new secret."""
    return secrets.token_bytes(SECRET_BYTES)


def describe_secret(secret: bytes) -> str:
    """Returns a secret as people type it: 32 characters of Base32."""
    return base64.b32encode(secret).decode()


def make_uri(secret: bytes, username: str) -> str:
    """Returns the otpauth URI that authenticators read from a QR code."""
    label = quote(f"{ISSUER}:{username}", safe=":")
    return (
        f"otpauth://totp/{label}?secret={describe_secret(secret)}&issuer={ISSUER}"
        f"&algorithm=SHA1&digits={DIGITS}&period={PERIOD_SECONDS}"
    )


def is_code(text: str) -> bool:
    """Returns whether a text has the form of a code."""
    return _CODE.fullmatch(text) is not None


def make_code(secret: bytes, step: int) -> str:
    """Returns the code of a time step."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def find_step(secret: bytes, code: str, seconds: float) -> int | None:
    """Returns the time step near a time whose code it is, the latest; None if there is none.

    `seconds` since 1970. The work is the same for every code.
    """
    now = int(seconds // PERIOD_SECONDS)
    steps = range(now - TOLERANCE, now + TOLERANCE + 1)
    fitting = [step for step in steps if hmac.compare_digest(make_code(secret, step), code)]
    return max(fitting, default=None)
