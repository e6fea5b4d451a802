"""The login that a command uses, and the name of its user."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from dits_client.cli.credentials import Credentials, Login
from dits_client.errors import ClientError
from dits_client.server.endpoints import Endpoints
from dits_client.workspace.state import USUAL_ACCOUNT, ServerAccount

if TYPE_CHECKING:
    from dits_client.server.client import Client


def get_login(at: ServerAccount = USUAL_ACCOUNT) -> Login:
    """Return the login for a server and account, with the changes of the environment.

    DITS_USER is the account to use, whatever a folder says. DITS_TOKEN is only for the server that the user
    named: DITS_SERVER, else one with a login, else this machine. A folder may come from elsewhere, and name
    any server. Raises ClientError if there is no login.
    """
    token, server = os.environ.get("DITS_TOKEN", ""), at.server
    meant = os.environ.get("DITS_SERVER", "")
    named = server or meant
    endpoints = Endpoints.parse(named or "localhost", os.environ)
    found = _find_login(named, "" if token else os.environ.get("DITS_USER") or at.username)
    if token and server and not _is_meant(endpoints, meant, is_known=found is not None):
        if found is None:
            raise ClientError(
                f"DITS_TOKEN is not sent to {endpoints.name}, which only this folder names: "
                "set DITS_SERVER, or run `dits login`"
            )
        token = ""
    if found is None and token:
        return Login(endpoints, token, token_id="", username="", name="", email="")
    if found is None:
        where = f" to {endpoints.name}" if named else ""
        command = f"dits login {endpoints.name}" if named else "dits login"
        raise ClientError(f"not logged in{where}: run `{command}`")
    found = replace(found, endpoints=found.endpoints.override(os.environ))
    return replace(found, token=token, session_id="", sudo="") if token else found


def _find_login(named: str, username: str) -> Login | None:
    """Return the login for a server, as the user or a folder names it, and an account.

    Raises ClientError if there are logins of other accounts only.
    """
    credentials = Credentials()
    server = Endpoints.parse(named, os.environ).name if named else ""
    for name in (named, server):
        if (found := credentials.get(name, username)) is not None:
            return found
    if username and any(login.is_of(server, "") for login in credentials.logins):
        where = f" at {server}" if server else ""
        command = f"dits login -u {username} {server}".rstrip()
        raise ClientError(
            f"not logged in as {username}{where}: run `{command}`, or in a folder `dits "
            "config account NAME` for another account"
        )
    return None


def _is_meant(endpoints: Endpoints, meant: str, *, is_known: bool) -> bool:
    """Return whether DITS_TOKEN is for the server of a folder; `meant` is DITS_SERVER."""
    if not meant and is_known:
        return True
    # All addresses, not only that of auth: the token goes to each of them.
    return endpoints == Endpoints.parse(meant or "localhost", os.environ)


def find_endpoints(server: str = "") -> Endpoints:
    """Return the addresses of a server: the named one, that of the usual login, else this machine."""
    named = server or os.environ.get("DITS_SERVER", "")
    endpoints = Endpoints.parse(named or "localhost", os.environ)
    for login in Credentials().logins:
        if login.is_of(endpoints.name if named else "", ""):
            return login.endpoints.override(os.environ)
    return endpoints


def get_username(client: "Client", login: Login) -> str:
    """Return the user's name on the server."""
    if login.username:
        return login.username
    from dits.auth.v1.access_service_pb2 import CheckAccessRequest

    caller = client.call(client.access.CheckAccess, CheckAccessRequest()).caller
    return caller.username


def complete_name(repository: str, client: "Client", login: Login) -> str:
    """Return `owner/name`; the user is the owner if only a name is given."""
    return repository if "/" in repository else f"{get_username(client, login)}/{repository}"
