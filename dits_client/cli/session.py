"""Calls with the account of the user, to the server that a command or a folder names."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from dits_client.cli.credentials import Login
from dits_client.cli.logins import get_login, get_username
from dits_client.cli.prompts import read_password
from dits_client.workspace.state import USUAL_ACCOUNT, ServerAccount
from dits_client.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dits_client.server.client import Client
    from dits_client.server.credential import Metadata
    from dits_client.server.repository import RepositoryClient


@contextmanager
def connect(at: ServerAccount = USUAL_ACCOUNT) -> Iterator[tuple["Client", Login]]:
    """Connect to a server with a login of the user's; calls that need sudo ask for a proof."""
    from dits_client.cli.stored_session import open_client

    login = get_login(at)
    with open_client(login, partial(_prove, login)) as client:
        yield client, login


def _prove(login: Login, client: "Client") -> "Metadata":
    # Loaded only if a call needs it: it brings all that the client knows of SSH.
    from dits_client.cli.sudo import prove

    return prove(login, client)


@contextmanager
def connect_to(workspace: Workspace) -> Iterator[tuple["RepositoryClient", Login]]:
    """Connect to the repository that a folder follows."""
    from dits_client.server.repository import RepositoryClient

    with connect(workspace.state.server_account) as (client, login):
        yield RepositoryClient(client, workspace.state.address), login


@contextmanager
def connect_with_password(at: ServerAccount = USUAL_ACCOUNT) -> Iterator["Client"]:
    """Call with a session of the user who is logged in: the token of a login may not change accounts."""
    with connect(at) as (client, login), ExitStack() as stack:
        yield enter_session(stack, client, login)


def enter_session(
    stack: ExitStack, client: "Client", login: Login, *, from_stdin: bool = False
) -> "Client":
    """Return a client with a session: that of `dits sudo`, or one that lives as long as the stack.

    What DITS_TOKEN may do is up to whoever made it: with it, no password is asked for.
    """
    from dits_client.cli.password_session import open_session
    from dits_client.cli.sudo import find_sudo
    from dits_client.server.client import Client

    if os.environ.get("DITS_TOKEN"):
        return client
    if token := find_sudo(login):
        return stack.enter_context(Client(login.endpoints, token))
    username = get_username(client, login)
    password = read_password(f"Password of {username}: ", from_stdin=from_stdin)
    return stack.enter_context(open_session(login.endpoints, username, password))


@contextmanager
def connect_with_rights() -> Iterator["Client"]:
    """Call with a session of the user: that of the login, or one as `connect_with_password` opens it."""
    with ExitStack() as stack:
        if not os.environ.get("DITS_TOKEN") and get_login().session_id:
            yield stack.enter_context(connect())[0]
            return
        yield stack.enter_context(connect_with_password())
