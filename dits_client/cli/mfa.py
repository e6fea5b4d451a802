"""`dits account mfa`: the second factor of the account."""

import sys
import uuid
from argparse import Namespace
from collections.abc import Iterable

import segno
from dits.auth.v1 import mfa_service_pb2 as pb

from dits_client.cli.answers import record
from dits_client.cli.prompts import read_secret
from dits_client.cli.session import connect, connect_with_password
from dits_client.errors import ClientError


def handle_status(arguments: Namespace) -> None:
    """Show whether logins need a code."""
    del arguments
    with connect() as (client, _):
        found = client.call(client.mfa.GetMfa, pb.GetMfaRequest())
    record(found)
    if not found.enabled:
        print("Logins need no code: `dits account mfa enroll` changes that.")
        return
    print(
        f"Logins need a code of your authenticator. Recovery codes left: {found.recovery_codes_left}."
    )


def handle_enroll(_: Namespace) -> None:
    """Show a secret as QR code and text, and make it count once a code of it was typed."""
    with connect_with_password() as client:
        enrolled = client.call(client.mfa.EnrollTotp, pb.EnrollTotpRequest())
        print("Scan this with an authenticator app:", file=sys.stderr)
        if sys.stderr.isatty():
            segno.make(enrolled.uri, error="l").terminal(sys.stderr, compact=True)
        print(f"Or type the secret: {_group(enrolled.secret)}", file=sys.stderr)
        print(enrolled.uri, file=sys.stderr)
        code = read_secret("Code that it shows: ")
        if not code:
            raise ClientError("no code was given: nothing has changed")
        request = pb.ConfirmTotpRequest(code=code, request_id=str(uuid.uuid4()))
        confirmed = client.call(client.mfa.ConfirmTotp, request)
    _show_codes(confirmed.recovery_codes)


def handle_disable(_: Namespace) -> None:
    """Take the second factor away."""
    with connect_with_password() as client:
        client.call(client.mfa.DisableTotp, pb.DisableTotpRequest())
    print("Logins need no code any more.")


def handle_recovery_codes(_: Namespace) -> None:
    """Make other recovery codes."""
    with connect_with_password() as client:
        request = pb.RegenerateRecoveryCodesRequest(request_id=str(uuid.uuid4()))
        made = client.call(client.mfa.RegenerateRecoveryCodes, request)
    _show_codes(made.recovery_codes)


def _show_codes(codes: Iterable[str]) -> None:
    """Print recovery codes alone, so that they can be kept in a file."""
    text = "Keep these recovery codes. Each opens the account once, without the authenticator:"
    print(text, file=sys.stderr)
    for code in codes:
        print(code)


def _group(secret: str) -> str:
    """Return the secret in groups of four, as people read it."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
