"""Sessions that an SSH key opens."""

from pathlib import Path

from dits.auth.v1 import session_service_pb2 as pb
from dits.common.v1.error_reason_pb2 import ERROR_REASON_UNAUTHENTICATED

from dits_client.cli.devices import Devices, name_device
from dits_client.cli.second_factor import complete_login
from dits_client.cli.ssh_signing import SigningKey, find_keys, read_key
from dits_client.errors import ClientError, RemoteError
from dits_client.server.client import Client
from dits_client.server.endpoints import Endpoints
from dits_client.terminal import quote_text

# The server counts each failure, and refuses all logins after ten.
_MOST_KEYS = 5


def begin_ssh_session(endpoints: Endpoints, username: str, file: str | None) -> pb.IssuedSession:
    """Open a session by a key file, or by the first of the user's keys that opens the account."""
    with Client(endpoints) as client:
        responses = (_log_in(client, username, key) for key in _list_keys(file))
        response = next((found for found in responses if found is not None), None)
        if response is None:
            raise ClientError(f"no SSH key that was tried opens the account {quote_text(username)}")
        session = complete_login(client, response)
    Devices().put(endpoints.name, username, session.device_token)
    return session


def find_proof(client: Client, username: str, file: str | None) -> pb.SshProof:
    """Return a challenge with its signature, by a key file or the first of the user's keys."""
    return _sign_challenge(client, username, _list_keys(file)[0])


def _list_keys(file: str | None) -> list[SigningKey]:
    """Return the key that is named, or those to try. Raises ClientError if there is none."""
    keys = [read_key(Path(file).expanduser())] if file else list(find_keys())[:_MOST_KEYS]
    if not keys:
        raise ClientError("no SSH key was found: name one with --key")
    return keys


def _sign_challenge(client: Client, username: str, key: SigningKey) -> pb.SshProof:
    asked = pb.CreateSshChallengeRequest(login=username)
    challenge = client.call(client.sessions.CreateSshChallenge, asked)
    return pb.SshProof(
        challenge=challenge.challenge,
        signature=key.sign(challenge.challenge.encode(), challenge.namespace),
    )


def _log_in(client: Client, username: str, key: SigningKey) -> pb.LoginWithSshResponse | None:
    """Return what a login with a key led to; None if it does not open the account."""
    proof = _sign_challenge(client, username, key)
    request = pb.LoginWithSshRequest(
        challenge=proof.challenge,
        signature=proof.signature,
        device_name=name_device(),
        device_token=Devices().get(client.endpoints.name, username),
    )
    try:
        return client.call(client.sessions.LoginWithSsh, request)
    except RemoteError as error:
        if error.reason == ERROR_REASON_UNAUTHENTICATED:
            return None
        raise
