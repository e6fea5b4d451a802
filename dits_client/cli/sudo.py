"""Sudo: `dits sudo`, and the proof of identity that calls ask for which need it."""

import os
import sys
from argparse import Namespace

from dits.auth.v1 import session_service_pb2 as pb
from dits.auth.v1.access_service_pb2 import WhoAmIRequest, WhoAmIResponse
from dits.auth.v1.mfa_service_pb2 import GetMfaRequest
from dits.common.v1.error_reason_pb2 import ERROR_REASON_UNAUTHENTICATED

from dits_client.cli.answers import record
from dits_client.cli.credentials import Credentials, Login
from dits_client.cli.logins import get_login, get_username
from dits_client.cli.password_session import begin_session
from dits_client.cli.prompts import read_password, read_secret
from dits_client.cli.ssh_session import begin_ssh_session, find_proof
from dits_client.cli.stored_session import StoredSession
from dits_client.cli.workspace_paths import find_server_account
from dits_client.errors import ClientError, RemoteError
from dits_client.server.client import Client
from dits_client.server.credential import Metadata, make_metadata

SESSION_PREFIX = "dits_ses_"
_HELP = (
    "this needs a recent proof of who you are: run `dits sudo` in a terminal, "
    "and then this again within ten minutes"
)


def handle_sudo(arguments: Namespace) -> None:
    """Prove who you are, so that commands need no proof for ten minutes."""
    login = get_login(find_server_account())
    if arguments.end:
        end_sudo(login)
        return
    with Client(login.endpoints, login.token) as client:
        token = _obtain(
            client, login, by_ssh=arguments.ssh or bool(arguments.key), key=arguments.key
        )
    with Client(login.endpoints, token) as client:
        found = client.call(client.access.WhoAmI, WhoAmIRequest())
    record(found)
    print(f"sudo as {found.caller.username} until {found.sudo_expire_time.ToDatetime():%H:%M} UTC")


def prove(login: Login, client: Client) -> Metadata:
    """Return the credential with which to repeat a call that needs sudo.

    Raises ClientError where nobody can be asked, and for API tokens that the user brought along.
    """
    if os.environ.get("DITS_TOKEN") and not login.token.startswith(SESSION_PREFIX):
        raise ClientError("this needs sudo, which an API token has only if the operator made it")
    token = find_sudo(login)
    if not token:
        if not _can_ask():
            raise ClientError(_HELP)
        token = _obtain(client, login)
    return make_metadata(token)


def find_sudo(login: Login) -> str:
    """Return the token of the user's session if it has sudo at this moment, else an empty string."""
    found = _find_live(login)
    return _session_of(login) if found is not None and found.HasField("sudo_expire_time") else ""


def end_sudo(login: Login) -> None:
    """Close the session that `dits sudo` has stored, if there is one."""
    if not login.sudo:
        return
    with Client(login.endpoints, login.sudo) as client:
        try:
            client.call(client.sessions.Logout, pb.LogoutRequest())
        except RemoteError as error:
            if error.reason != ERROR_REASON_UNAUTHENTICATED:
                raise
    Credentials().update(login, sudo="")


def _can_ask() -> bool:
    """Return whether somebody can be asked for a proof, or has given the password in the environment."""
    return sys.stdin.isatty() or bool(os.environ.get("DITS_PASSWORD"))


def _obtain(client: Client, login: Login, *, by_ssh: bool = False, key: str | None = None) -> str:
    """Return the token of a session that has sudo from now on, after asking for a proof.

    It is the login itself if that is a session, else one that is stored for the next ten minutes.
    """
    username = get_username(client, login)
    token = _session_of(login)
    if token and _find_live(login) is not None:
        _elevate(login, token, username, by_ssh=by_ssh, key=key)
        return token
    if by_ssh:
        session = begin_ssh_session(login.endpoints, username, key)
    else:
        password = read_password(f"Password of {username}: ")
        session = begin_session(login.endpoints, username, password)
    Credentials().update(login, sudo=session.token)
    return session.token


def _elevate(login: Login, token: str, username: str, *, by_ssh: bool, key: str | None) -> None:
    """Give a session sudo."""
    with Client(login.endpoints, token) as client:
        if by_ssh:
            proof = find_proof(client, username, key)
            request = pb.ElevateRequest(ssh=proof)
        elif client.call(client.mfa.GetMfa, GetMfaRequest()).enabled:
            request = pb.ElevateRequest(totp_code=read_secret("Code of your authenticator: "))
        else:
            request = pb.ElevateRequest(password=read_password(f"Password of {username}: "))
        try:
            client.call(client.sessions.Elevate, request)
        except RemoteError as error:
            if error.reason == ERROR_REASON_UNAUTHENTICATED:
                raise ClientError("that does not prove who you are") from None
            raise


def _session_of(login: Login) -> str:
    """Return the token of the session that has, or may get, sudo: the login itself, or a stored one."""
    if login.session_id:
        # A command may have replaced the token since it was read; the old one has no sudo.
        newest = StoredSession(login).load()
        return newest.token if newest is not None else login.token
    return login.token if login.token.startswith(SESSION_PREFIX) else login.sudo


def _find_live(login: Login) -> WhoAmIResponse | None:
    """Return what the server says of that session; None if there is none, or it has ended."""
    token = _session_of(login)
    if not token:
        return None
    with Client(login.endpoints, token) as client:
        try:
            return client.call(client.access.WhoAmI, WhoAmIRequest())
        except RemoteError as error:
            if error.reason == ERROR_REASON_UNAUTHENTICATED:
                return None
            raise
