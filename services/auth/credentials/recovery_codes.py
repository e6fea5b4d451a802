"""Recovery codes: ten for an account, each good once, for who has lost the authenticator."""

from __future__ import annotations

import re
import secrets

from shared.formats.credentials import token_hash

COUNT = 10
# Without those that look alike. 16 characters have 79 bits, so that a plain hash keeps them.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP_CHARACTERS = 4, 4
_CODE = re.compile(rf"[{_ALPHABET}]{{{_GROUPS * _GROUP_CHARACTERS}}}")


def make_codes() -> list[str]:
    """Returns ten new codes, as people see them: `abcd-efgh-jkmn-pqrs`."""
    return [_make_code() for _ in range(COUNT)]


def fold_code(text: str) -> str | None:
    """Returns a code without hyphens, spaces and capitals; None if it has not the form of one."""
    folded = re.sub(r"[-\s]", "", text).lower()
    return folded if _CODE.fullmatch(folded) else None


def hash_code(code: str) -> str:
    """Returns what the database keeps of a code."""
    folded = fold_code(code)
    if folded is None:
        raise ValueError("it is no recovery code")
    return token_hash(folded)


def _make_code() -> str:
    groups = (
        "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_CHARACTERS)) for _ in range(_GROUPS)
    )
    return "-".join(groups)
