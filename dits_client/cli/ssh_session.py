"""Sessions that an SSH key opens."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dits.auth.v1 import session_service_pb2 as pb
from dits.common.v1.error_reason_pb2 import ERROR_REASON_UNAUTHENTICATED

from dits_client.cli.devices import Devices
from dits_client.cli.session import name_device, use_session
from dits_client.cli.ssh_signing import SigningKey, find_keys, read_key
from dits_client.errors import ClientError, RemoteError
from dits_client.server.client import Client
from dits_client.server.endpoints import Endpoints

# The server counts each failure, and refuses all logins after ten.
_MOST_KEYS = 5


@contextmanager
def open_ssh_session(endpoints: Endpoints, username: str, file: str | None) -> Iterator[Client]:
    """Open a session by a key file, or by the first of the user's keys that opens the account."""
    keys = [read_key(Path(file).expanduser())] if file else list(find_keys())[:_MOST_KEYS]
    if not keys:
        raise ClientError("no SSH key was found: name one with --key")
    with Client(endpoints) as client:
        responses = (_log_in(client, username, key) for key in keys)
        response = next((found for found in responses if found is not None), None)
    if response is None:
        raise ClientError(f'no SSH key that was tried opens the account "{username}"')
    if response.WhichOneof("outcome") != "session":
        raise ClientError("the server asks for a second factor, which this client does not know")
    with use_session(endpoints, username, response.session) as session:
        yield session


def _log_in(client: Client, username: str, key: SigningKey) -> pb.LoginWithSshResponse | None:
    """Return what a login with a key led to; None if it does not open the account."""
    asked = pb.CreateSshChallengeRequest(login=username)
    challenge = client.call(client.sessions.CreateSshChallenge, asked)
    request = pb.LoginWithSshRequest(
        challenge=challenge.challenge,
        signature=key.sign(challenge.challenge, challenge.namespace),
        device_name=name_device(),
        device_token=Devices().get(client.endpoints.name, username),
    )
    try:
        return client.call(client.sessions.LoginWithSsh, request)
    except RemoteError as error:
        if error.reason == ERROR_REASON_UNAUTHENTICATED:
            return None
        raise
