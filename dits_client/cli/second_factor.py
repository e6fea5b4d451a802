"""The code that a login asks for, of accounts that have a second factor."""

import re
import sys
from typing import TYPE_CHECKING

from dits.auth.v1.session_service_pb2 import (
    CompleteMfaRequest,
    IssuedSession,
    LoginResponse,
    LoginWithSshResponse,
)
from dits.common.v1.error_reason_pb2 import ERROR_REASON_UNAUTHENTICATED

from dits_client.cli.prompts import read_secret
from dits_client.errors import ClientError, RemoteError

if TYPE_CHECKING:
    from dits_client.server.client import Client

PROMPT = "Code of your authenticator, or a recovery code: "
_MOST_ATTEMPTS = 3


def complete_login(
    client: "Client", outcome: LoginResponse | LoginWithSshResponse
) -> IssuedSession:
    """Return the session that a login leads to, after asking for a code if it needs one."""
    match outcome.WhichOneof("outcome"):
        case "session":
            return outcome.session
        case "mfa_challenge" if isinstance(outcome, LoginResponse):
            return _ask_for_code(client, outcome.mfa_challenge.challenge)
        case _:
            raise ClientError("the server asks for what this client does not know: update it")


def make_request(challenge: str, code: str) -> CompleteMfaRequest:
    """Return the request for what a user has typed: six digits, or a recovery code."""
    digits = code.replace(" ", "")
    if re.fullmatch(r"[0-9]+", digits):
        return CompleteMfaRequest(challenge=challenge, totp_code=digits)
    return CompleteMfaRequest(challenge=challenge, recovery_code=code)


def _ask_for_code(client: "Client", challenge: str) -> IssuedSession:
    """Return the session that a code opens; a person may try again while the challenge is good."""
    attempts = _MOST_ATTEMPTS if sys.stdin.isatty() else 1
    for left in reversed(range(attempts)):
        code = read_secret(PROMPT)
        if not code:
            raise ClientError("the account has a second factor, and no code was given")
        try:
            request = make_request(challenge, code)
            return client.call(client.sessions.CompleteMfa, request).session
        except RemoteError as error:
            if error.reason != ERROR_REASON_UNAUTHENTICATED:
                raise
            if left:
                print("dits: wrong code", file=sys.stderr)
    raise ClientError("wrong code, or it took longer than a minute: log in again")
