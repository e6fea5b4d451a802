"""Sessions that a password opens."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dits.auth.v1.session_service_pb2 import IssuedSession, LoginRequest, LogoutRequest
from dits.common.v1.error_reason_pb2 import ERROR_REASON_UNAUTHENTICATED

from dits_client.cli.devices import Devices, name_device
from dits_client.cli.second_factor import complete_login
from dits_client.errors import ClientError, RemoteError
from dits_client.server.client import Client
from dits_client.server.endpoints import Endpoints


@contextmanager
def open_session(endpoints: Endpoints, username: str, password: str) -> Iterator[Client]:
    """Open a session, which has all rights of the user, until the end of the context."""
    session = begin_session(endpoints, username, password)
    with use_session(endpoints, session) as client:
        yield client


def begin_session(endpoints: Endpoints, username: str, password: str) -> IssuedSession:
    """Open a session, after asking for a code if the account has a second factor."""
    request = LoginRequest(
        login=username,
        password=password,
        device_name=name_device(),
        device_token=Devices().get(endpoints.name, username),
    )
    with Client(endpoints) as client:
        try:
            outcome = client.call(client.sessions.Login, request)
        except RemoteError as error:
            if error.reason == ERROR_REASON_UNAUTHENTICATED:
                raise ClientError("wrong username or password") from None
            raise
        session = complete_login(client, outcome)
    Devices().put(endpoints.name, username, session.device_token)
    return session


@contextmanager
def use_session(endpoints: Endpoints, session: IssuedSession) -> Iterator[Client]:
    """Call with a session that was just opened, until the end of the context, which closes it."""
    with Client(endpoints, session.token) as client:
        try:
            yield client
        finally:
            # After a failure the session ends by itself.
            with suppress(ClientError):
                client.call(client.sessions.Logout, LogoutRequest())
