"""`dits login`, `logout` and `whoami`."""

import os
import sys
import time
import uuid
from argparse import Namespace
from dataclasses import replace

from dits.auth.v1.access_service_pb2 import (
    CREDENTIAL_TYPE_SESSION,
    CheckAccessRequest,
    WhoAmIRequest,
    WhoAmIResponse,
)
from dits.auth.v1.account_service_pb2 import (
    USER_STATUS_PENDING_VERIFICATION,
    GetMeRequest,
    RegisterRequest,
    UserStatus,
)
from dits.auth.v1.session_service_pb2 import LogoutRequest
from dits.auth.v1.token_service_pb2 import CreateTokenRequest, RevokeTokenRequest
from dits.common.v1.error_reason_pb2 import ERROR_REASON_SCOPE_MISSING, ERROR_REASON_UNAUTHENTICATED

from dits_client.cli.answers import record
from dits_client.cli.credentials import Credentials, Login
from dits_client.cli.devices import name_device
from dits_client.cli.logins import find_endpoints, get_login
from dits_client.cli.password_session import begin_session, use_session
from dits_client.cli.prompts import read_password, read_secret
from dits_client.cli.ssh_session import begin_ssh_session
from dits_client.cli.stored_session import open_client
from dits_client.cli.sudo import end_sudo
from dits_client.cli.table import format_time
from dits_client.cli.workspace_paths import find_server_account
from dits_client.errors import ClientError, RemoteError
from dits_client.progress import Warnings
from dits_client.server.client import Client
from dits_client.server.endpoints import Endpoints
from dits_client.terminal import escape_text

SCOPES = (
    "key:read",
    "lock:write",
    "notification:write",
    "org:read",
    "repo:write",
    "user:read",
    "webhook:write",
)


def handle_login(arguments: Namespace) -> None:
    """Log in with a password or an SSH key, or store an API token."""
    given = {f"DITS_{name.upper()}": getattr(arguments, name) or "" for name in _SERVICES}
    server = arguments.server
    at = Endpoints.parse(server, os.environ) if server else find_endpoints()
    endpoints = at.override(given)
    if arguments.token:
        token, token_id = os.environ.get("DITS_TOKEN") or read_secret("API token: "), ""
    else:
        token, token_id = _new_token(endpoints, arguments)
    with Client(endpoints, token) as client:
        found = _identify(client, token, token_id)
    Credentials().put(found)
    record({"server": endpoints.name, "username": found.username})
    print(f"Logged in to {endpoints.name} as {found.username}.")


_SERVICES = ("auth", "repo", "chunk", "lock")


def _new_token(endpoints: Endpoints, arguments: Namespace) -> tuple[str, str]:
    """Return a new API token and its id; or the token of a session, and an empty id."""
    name = arguments.username or _ask("Username: ")
    if arguments.ssh or arguments.key:
        session = begin_ssh_session(endpoints, name, arguments.key)
    else:
        password = read_password(from_stdin=arguments.password_stdin)
        if arguments.register:
            _register_first(endpoints, name, password, arguments.email or _ask("E-mail: "))
        session = begin_session(endpoints, name, password)
    if arguments.session:
        return session.token, ""
    with use_session(endpoints, session) as client:
        return _make_token(client)


def _make_token(client: Client) -> tuple[str, str]:
    """Make a token with the scopes of everyday work, but for those that an older server does not know."""
    scopes, name = list(SCOPES), f"dits on {name_device()}"[:255]
    while True:
        wanted = CreateTokenRequest(request_id=str(uuid.uuid4()), name=name, scopes=scopes)
        try:
            made = client.call(client.tokens.CreateToken, wanted)
        except RemoteError as error:
            told = [found.description for found in error.details.fields]
            unknown = [x for x in scopes if any(text.startswith(f"{x!r} ") for text in told)]
            if not unknown:
                raise
            scopes.remove(unknown[0])
            Warnings().warn(f"this server is older than dits: the login is without {unknown[0]}")
        else:
            return made.secret, made.token.id


def _register_first(endpoints: Endpoints, name: str, password: str, email: str) -> None:
    """Create an account. Raise ClientError if it cannot log in before its address is verified."""
    with Client(endpoints) as client:
        if _register(client, name, password, email) == USER_STATUS_PENDING_VERIFICATION:
            raise ClientError(f"open the link that was mailed to {email}, then log in")


def _register(client: Client, name: str, password: str, email: str) -> UserStatus.ValueType:
    """Create an account, and return its status."""
    request = RegisterRequest(
        request_id=str(uuid.uuid4()), username=name, email=email, password=password
    )
    return client.call(client.accounts.Register, request).user.status


def _identify(client: Client, token: str, token_id: str) -> Login:
    """Return the login for a token. It has no name for commits if the token lacks the scope user:read."""
    caller = client.call(client.access.CheckAccess, CheckAccessRequest()).caller
    found = Login(client.endpoints, token, token_id, caller.username, caller.username, "")
    if caller.credential_type == CREDENTIAL_TYPE_SESSION:
        found = replace(found, session_id=caller.credential_id, session_time=time.time())
    try:
        user = client.call(client.accounts.GetMe, GetMeRequest()).user
    except RemoteError as error:
        if error.reason == ERROR_REASON_SCOPE_MISSING:
            return found
        raise
    return replace(found, name=user.name or user.username, email=user.email)


def handle_logout(arguments: Namespace) -> None:
    """Revoke the token that `dits login` made, and remove the login."""
    credentials, server = Credentials(), ""
    if arguments.server:
        server = Endpoints.parse(arguments.server, os.environ).name
    found = credentials.find(server, arguments.username)
    if found is None:
        raise ClientError(f"not logged in{arguments.username and ' as '}{arguments.username}")
    problem = _end_secrets(credentials, found)
    credentials.remove(found)
    server = found.endpoints.name
    record({"server": server, "username": found.username})
    print(f"Logged out of {server} as {found.username}.")
    if others := [login.username for login in credentials.logins if login.is_of(server, "")]:
        print(f"Still logged in there: {', '.join(others)}.")
    if problem:
        print(f"dits: the token could not be revoked: {problem}", file=sys.stderr)


def _end_secrets(credentials: Credentials, found: Login) -> str:
    """End what a login can open; return why that failed, or an empty string."""
    try:
        login = credentials.get(found.endpoints.name, found.username)
    except ClientError as error:
        # Who has lost the keyring would have the login for ever.
        return str(error)
    if login is None:
        return ""
    end_sudo(login)
    return _revoke(login)


def _revoke(login: Login) -> str:
    """End the token or session that `dits login` made; return why that failed, or an empty string."""
    if not login.token_id and not login.session_id:
        return ""
    with Client(login.endpoints, login.token) as client:
        try:
            if login.session_id:
                client.call(client.sessions.Logout, LogoutRequest())
            else:
                request = RevokeTokenRequest(token_id=login.token_id)
                client.call(client.tokens.RevokeToken, request)
        except RemoteError as error:
            # A token that is no longer valid need not be revoked.
            return "" if error.reason == ERROR_REASON_UNAUTHENTICATED else str(error)
    return ""


def handle_whoami(_: Namespace) -> None:
    """Show the account, the server and the credential."""
    login = get_login(find_server_account())
    with open_client(login) as client:
        found = client.call(client.access.WhoAmI, WhoAmIRequest())
    record(found)
    print(f"{found.caller.username} on {login.endpoints.name}")
    print(_describe_credential(found))
    if found.HasField("sudo_expire_time"):
        print(f"sudo until {found.sudo_expire_time.ToDatetime():%H:%M} UTC")
    if found.caller.scopes:
        print(f"scopes: {', '.join(found.caller.scopes)}")
    if found.caller.repository_ids:
        print(f"only in: {', '.join(found.caller.repository_ids)}")


def _describe_credential(found: WhoAmIResponse) -> str:
    """Return the kind of the credential and when it ends."""
    kind = f"API token {escape_text(found.token_name)}"
    if found.caller.credential_type == CREDENTIAL_TYPE_SESSION:
        kind = "session"
    if not found.HasField("expire_time"):
        return f"{kind}, without an end"
    return f"{kind}, until {format_time(found.expire_time)}"


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        name = prompt.rstrip(": ").lower()
        raise ClientError(f"no {name} was given, and stdin is not a terminal")
    # Not on stdout, which may be for a program.
    print(prompt, end="", file=sys.stderr, flush=True)
    return input().strip()
