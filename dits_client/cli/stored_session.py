"""The token of a session in the user's file of logins, shared by all processes."""

from dataclasses import replace

from dits_client.cli.credentials import Credentials, Login
from dits_client.server.client import Client, Prove
from dits_client.server.credential import SessionToken


class StoredSession:
    """The session of a stored login; see SessionStore."""

    def __init__(self, server: str, session_id: str) -> None:
        self._server = server
        self._session_id = session_id

    def load(self) -> SessionToken | None:
        """Return the newest token; None if the user has logged out, or in anew."""
        found = Credentials().get(self._server)
        if found is None or found.session_id != self._session_id:
            return None
        return SessionToken(found.token, found.session_time)

    def save(self, token: SessionToken) -> None:
        """Keep a new token, unless the user has logged out meanwhile."""
        credentials = Credentials()
        found = credentials.get(self._server)
        if found is not None and found.session_id == self._session_id:
            credentials.update(replace(found, token=token.token, session_time=token.time))


def open_client(login: Login, prove: Prove | None = None) -> Client:
    """Return a client that calls with a login; `prove` as Client takes it."""
    if not login.session_id:
        return Client(login.endpoints, login.token, prove)
    store = StoredSession(login.endpoints.name, login.session_id)
    return Client(login.endpoints, prove=prove, session=store)
