"""The server that a command calls, and the account with which it calls."""

import getpass
import os
import socket
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dits_client.cli.credentials import Credentials, Login
from dits_client.cli.devices import Devices
from dits_client.errors import ClientError, RemoteError
from dits_client.server.endpoints import Endpoints
from dits_client.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dits.auth.v1.session_service_pb2 import IssuedSession

    from dits_client.server.client import Client
    from dits_client.server.repository import RepositoryClient


def get_login(server: str = "") -> Login:
    """Return the login for a server, by default the user's, with the changes of the environment.

    DITS_TOKEN is only for the server that the user named: DITS_SERVER, else one with a login, else this
    machine. A folder may come from elsewhere, and name any server. Raises ClientError if there is no login.
    """
    token, credentials = os.environ.get("DITS_TOKEN", ""), Credentials()
    meant = os.environ.get("DITS_SERVER", "")
    named = server or meant
    endpoints = Endpoints.parse(named or "localhost", os.environ)
    found = credentials.get(named) or (credentials.get(endpoints.name) if named else None)
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
        raise ClientError(f"not logged in{where}: run `dits login`")
    found = replace(found, endpoints=found.endpoints.override(os.environ))
    return replace(found, token=token, session_id="", sudo="") if token else found


def _is_meant(endpoints: Endpoints, meant: str, *, is_known: bool) -> bool:
    """Return whether DITS_TOKEN is for the server of a folder; `meant` is DITS_SERVER."""
    if not meant and is_known:
        return True
    # All addresses, not only that of auth: the token goes to each of them.
    return endpoints == Endpoints.parse(meant or "localhost", os.environ)


@contextmanager
def connect(server: str = "") -> Iterator[tuple["Client", Login]]:
    """Connect to a server with the user's login; calls that need sudo ask for a proof."""
    from dits_client.cli.stored_session import open_client
    from dits_client.cli.sudo import prove

    login = get_login(server)
    with open_client(login, partial(prove, login)) as client:
        yield client, login


@contextmanager
def connect_to(workspace: Workspace) -> Iterator[tuple["RepositoryClient", Login]]:
    """Connect to the repository that a folder follows."""
    from dits_client.server.repository import RepositoryClient

    with connect(workspace.state.server) as (client, login):
        yield RepositoryClient(client, workspace.state.repository), login


@contextmanager
def open_session(endpoints: Endpoints, username: str, password: str) -> Iterator["Client"]:
    """Open a session, which has all rights of the user, until the end of the context."""
    session = begin_session(endpoints, username, password)
    with use_session(endpoints, session) as client:
        yield client


def begin_session(endpoints: Endpoints, username: str, password: str) -> "IssuedSession":
    """Open a session, after asking for a code if the account has a second factor."""
    from dits.auth.v1.session_service_pb2 import LoginRequest
    from dits.common.v1.error_reason_pb2 import ERROR_REASON_UNAUTHENTICATED

    from dits_client.cli.second_factor import complete_login
    from dits_client.server.client import Client

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
def connect_with_password(server: str = "") -> Iterator["Client"]:
    """Call with a session of the user who is logged in: the token of a login may not change accounts."""
    with connect(server) as (client, login), ExitStack() as stack:
        yield enter_session(stack, client, login)


def enter_session(
    stack: ExitStack, client: "Client", login: Login, *, from_stdin: bool = False
) -> "Client":
    """Return a client with a session: that of `dits sudo`, or one that lives as long as the stack.

    What DITS_TOKEN may do is up to whoever made it: with it, no password is asked for.
    """
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


@contextmanager
def use_session(endpoints: Endpoints, session: "IssuedSession") -> Iterator["Client"]:
    """Call with a session that was just opened, until the end of the context, which closes it."""
    from dits.auth.v1.session_service_pb2 import LogoutRequest

    from dits_client.server.client import Client

    with Client(endpoints, session.token) as client:
        try:
            yield client
        finally:
            # After a failure the session ends by itself.
            with suppress(ClientError):
                client.call(client.sessions.Logout, LogoutRequest())


def name_device() -> str:
    """Return the name of this machine, as lists of sessions show it."""
    return (socket.gethostname() or "unknown")[:255]


def read_password(prompt: str = "Password: ", *, from_stdin: bool = False) -> str:
    """Return a password from stdin, the environment or a prompt. Raises ClientError if there is none."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = os.environ.get("DITS_PASSWORD") or read_secret(prompt)
    if not password:
        raise ClientError("a password is needed: type it, or set DITS_PASSWORD")
    return password


def read_secret(prompt: str) -> str:
    """Return a line that the user types without seeing it; from a pipe, a line."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    return getpass.getpass(prompt)


def open_workspace() -> Workspace:
    """Return the dits folder of the current directory."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise ClientError("the current folder is gone: change to another one") from None
    return Workspace.locate(here)


def parse_paths(workspace: Workspace, given: list[str]) -> Iterator[str]:
    """Yield the repository paths of the paths that the user typed, each once."""
    seen = set()
    for text in given:
        full = Path(text).absolute()
        # A link at the end is meant itself: its target may be outside of the folder. One before the end is
        # followed: the repository has nothing below a link.
        full = full.resolve() if full.name in ("", "..") else full.parent.resolve() / full.name
        try:
            path = full.relative_to(workspace.root).as_posix()
        except ValueError:
            raise ClientError(f'"{text}" is not in "{workspace.root}"') from None
        if path == ".":
            raise ClientError("the whole folder cannot be named: name what is in it")
        if text.endswith("/") or (full.is_dir() and not full.is_symlink()):
            path += "/"
        path = unicodedata.normalize("NFC", path)
        if path not in seen:
            seen.add(path)
            yield path


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
