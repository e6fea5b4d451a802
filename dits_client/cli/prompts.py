"""What a command asks the user for."""

import getpass
import os
import sys

from dits_client.errors import ClientError


def read_password(prompt: str = "Password: ", *, from_stdin: bool = False) -> str:
    """Return a password from stdin, the environment or a prompt. Raises ClientError if there is none."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = os.environ.get("DITS_PASSWORD") or read_secret(prompt)
    if not password:
        raise ClientError("a password is needed: type it, or set DITS_PASSWORD")
    return password


def read_secret(prompt: str) -> str:
    """Return a line that the user types without seeing it; from a pipe, a line."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    return getpass.getpass(prompt)
