"""Accounts that tests create with a password."""

from __future__ import annotations

from dits.auth.v1.account_service_pb2 import RegisterRequest

PASSWORD = "a long enough secret"


def registration(**changes: str) -> RegisterRequest:
    """Returns the request that creates the account Ada."""
    fields = {"username": "Ada", "email": "ada@example.com", "password": PASSWORD, **changes}
    return RegisterRequest(**fields)
