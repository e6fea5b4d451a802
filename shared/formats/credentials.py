"""Bearer tokens: `dits_pat_` or `dits_ses_`, 30 random base62 characters, 6 of checksum.

The prefix lets secret scanners find leaked tokens; the checksum lets any service refuse a typo
without asking anyone. The database keeps the BLAKE3 hash: the 178 random bits need no slow one.
"""

from __future__ import annotations

import re
import secrets
import zlib
from enum import StrEnum

from blake3 import blake3

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"(dits_(?:pat|ses)_[0-9A-Za-z]{30})([0-9A-Za-z]{6})")


class Kind(StrEnum):
    """Kinds of bearer tokens, by prefix."""

    API_TOKEN = "dits_pat_"  # noqa: S105
    SESSION = "dits_ses_"


def _checksum(text: str) -> str:
    """CRC-32 in six base62 digits."""
    value = zlib.crc32(text.encode())
    digits = []
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def mint(kind: Kind) -> str:
    """A fresh token."""
    body = kind + "".join(secrets.choice(_ALPHABET) for _ in range(30))
    return body + _checksum(body)


def well_formed(token: str) -> bool:
    """Whether the token could have been minted by a dits server."""
    match = _FORM.fullmatch(token)
    return match is not None and _checksum(match[1]) == match[2]


def token_hash(token: str) -> str:
    """What the database keeps, 64 hex digits."""
    return blake3(token.encode()).hexdigest()
