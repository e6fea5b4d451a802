"""Which server a command talks to, and as whom."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dits_client.config import Credentials, Endpoints, Login
from dits_client.errors import ClientError
from dits_client.workspace import Workspace

if TYPE_CHECKING:
    from dits_client.connection import Client


def current_login(server: str = "") -> Login:
    """Return the login for a server, by default the current one, as the environment changes it."""
    server = server or os.environ.get("DITS_SERVER", "")
    token = os.environ.get("DITS_TOKEN", "")
    credentials = Credentials()
    endpoints = Endpoints.parse(server or "localhost", os.environ)
    found = credentials.get(server) or (credentials.get(endpoints.name) if server else None)
    if found is None and token:
        return Login(endpoints, token, token_id="", username="", name="", email="")
    if found is None:
        where = f" to {endpoints.name}" if server else ""
        raise ClientError(f"not logged in{where}: run `dits login`")
    return Login(
        endpoints=found.endpoints.overridden(os.environ),
        token=token or found.token,
        token_id=found.token_id,
        username=found.username,
        name=found.name,
        email=found.email,
    )


@contextmanager
def connected(server: str = "") -> Iterator[tuple["Client", Login]]:
    """Connect to a server with the user's login."""
    from dits_client.connection import Client

    login = current_login(server)
    with Client(login.endpoints, login.token) as client:
        yield client, login


def here() -> Workspace:
    """Return the dits folder that the user is in."""
    return Workspace.find(Path.cwd())


def username(client: "Client", login: Login) -> str:
    """Return the user's name on the server."""
    if login.username:
        return login.username
    from dits.auth.v1.access_service_pb2 import CheckAccessRequest

    caller = client.call(client.access.CheckAccess, CheckAccessRequest()).caller
    return caller.username


def full_name(repository: str, client: "Client", login: Login) -> str:
    """Return `owner/name`; a name alone is one of the user's own."""
    return repository if "/" in repository else f"{username(client, login)}/{repository}"
