"""Usernames and e-mail addresses as logins: the one place that says which spellings are the same."""

from __future__ import annotations

import re

from shared.errors import invalid_field
from shared.formats.text import fold_case
from shared.rpc import validation

MAX_EMAIL_BYTES = 254

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def fold_login(login: str) -> str:
    """Returns the spelling that stands for all spellings of a username or e-mail address.

    It is Unicode's caseless form, composed (NFC). The database keeps that of an address in
    `users.email_folded` and never folds letters beyond ASCII itself, because its idea of them depends on
    the machine. Mail goes to the stored address, never to a spelling that a caller typed.
    """
    return fold_case(login)


def parse_email(field: str, value: str) -> str:
    """Returns an e-mail address. Raises INVALID_FIELD.

    Characters that Unicode has not assigned are refused with those that are not printable: how they
    fold is not known yet.
    """
    if len(value.encode()) > MAX_EMAIL_BYTES or not _EMAIL.fullmatch(value):
        raise invalid_field(
            field, f"must be an address of at most {MAX_EMAIL_BYTES} bytes with one @"
        )
    if not value.isprintable():
        raise invalid_field(field, "must have printable characters only")
    return value


def parse_login(value: str) -> str:
    """Returns the username or e-mail address of the field `login`, folded. Raises INVALID_FIELD."""
    return fold_login(validation.text("login", value, least=1, most=MAX_EMAIL_BYTES))
