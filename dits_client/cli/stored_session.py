"""The token of a session in the user's file of logins, shared by all processes."""

import os

from dits_client.cli.credentials import Credentials, Login
from dits_client.server.client import Client, Prove
from dits_client.server.credential import SessionToken


class StoredSession:
    """The session of a stored login; see SessionStore."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def load(self) -> SessionToken | None:
        """Return the newest token; None if the user has logged out, or in anew."""
        found = Credentials().get(self._login.endpoints.name, self._login.username)
        if found is None or found.session_id != self._login.session_id:
            return None
        return SessionToken(found.token, found.session_time)

    def save(self, token: SessionToken) -> None:
        """Keep a new token, unless the user has logged out meanwhile."""
        Credentials().update(self._login, token=token.token, session_time=token.time)


def open_client(login: Login, prove: Prove | None = None) -> Client:
    """Return a client that calls with a login; `prove` as Client takes it."""
    session = StoredSession(login) if login.session_id else None
    client = Client(login.endpoints, login.token, prove, session=session)
    if not os.environ.get("DITS_TOKEN"):
        client.account = login.username
    return client
