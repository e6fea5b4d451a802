"""`dits account`: the user's account."""

import sys
import uuid
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from dits.auth.v1 import account_service_pb2 as pb
from dits.auth.v1.session_service_pb2 import LogoutRequest
from dits.common.v1.error_reason_pb2 import ERROR_REASON_UNAUTHENTICATED

from dits_client.cli.credentials import Credentials
from dits_client.cli.logins import find_endpoints, get_login, get_username
from dits_client.cli.password_session import open_session
from dits_client.cli.prompts import read_password, read_secret
from dits_client.cli.session import connect, connect_with_password
from dits_client.cli.table import print_json
from dits_client.errors import ClientError, RemoteError, UsageError
from dits_client.server.client import Client, Response
from dits_client.terminal import escape_text
from dits_client.workspace.state import ServerAccount


def handle_show(arguments: Namespace) -> None:
    """Show the user's account, or what another one shows."""
    with connect() as (client, _):
        if arguments.user:
            request = pb.GetUserRequest(user=arguments.user)
            profile = client.call(client.accounts.GetUser, request).user
        else:
            user = client.call(client.accounts.GetMe, pb.GetMeRequest()).user
    if arguments.json:
        print_json([profile if arguments.user else user])
        return
    _print_lines(_describe_profile(profile) if arguments.user else _describe_user(user))


def handle_update(arguments: Namespace) -> None:
    """Change what the arguments name."""
    request = pb.UpdateProfileRequest()
    for name in ("name", "avatar_url"):
        value = getattr(arguments, name)
        if value is not None:
            setattr(request.values, name, value)
            request.update_mask.paths.append(name)
    for key, value in arguments.set:
        request.values.preferences[key] = value
        request.update_mask.paths.append(f"preferences.{key}")
    request.update_mask.paths.extend(f"preferences.{key}" for key in arguments.unset)
    if not request.update_mask.paths:
        raise UsageError("nothing to change: see `dits account update --help`")
    with connect_with_password() as client:
        client.call(client.accounts.UpdateProfile, request)
    print("Changed.")


def handle_change_email(arguments: Namespace) -> None:
    """Begin to change the address."""
    request = pb.UpdateProfileRequest(values=pb.User(email=arguments.email))
    request.update_mask.paths.append("email")
    with connect_with_password() as client:
        user = client.call(client.accounts.UpdateProfile, request).user
    if not user.pending_email:
        print(escape_text(f"The address is {user.email}."))
        return
    where = user.pending_email
    if user.email_verified:
        where += f" and to {user.email}"
    print(escape_text(f"A link was mailed to {where}: open it there, within 24 hours."))


def handle_change_password(arguments: Namespace) -> None:
    """Change the password."""
    with connect() as (client, login):
        username = get_username(client, login)
    current = read_password(f"Password of {username}: ")
    new = _read_new_password(from_stdin=arguments.password_stdin)
    with open_session(login.endpoints, username, current) as client:
        request = pb.ChangePasswordRequest(current_password=current, new_password=new)
        session = client.call(client.accounts.ChangePassword, request).session
    with Client(login.endpoints, session.token) as client, suppress(ClientError):
        client.call(client.sessions.Logout, LogoutRequest())
    print("Changed. Your other sessions have ended; API tokens and SSH keys go on.")


def handle_verify(arguments: Namespace) -> None:
    """Verify an address, or have its link mailed again."""
    with _connect_without_login(arguments.server) as client:
        if not arguments.token:
            login = arguments.username or _get_own_name(arguments.server)
            mail = pb.ResendVerificationRequest(login=login)
            client.call(client.accounts.ResendVerification, mail)
            print("If the account has an address that is not verified, a link was mailed there.")
            return
        request = pb.VerifyEmailRequest(request_id=str(uuid.uuid4()), token=arguments.token)
        answer = _call_with_token(client, client.accounts.VerifyEmail, request)
    waits = answer.waits_for_other_address
    print("Confirmed. Now open the link at the other address." if waits else "Verified.")


def handle_reset_password(arguments: Namespace) -> None:
    """Have a link mailed, or set a password with its token."""
    with _connect_without_login(arguments.server) as client:
        if not arguments.token:
            login = arguments.username or _get_own_name(arguments.server)
            mail = pb.RequestPasswordResetRequest(login=login)
            client.call(client.accounts.RequestPasswordReset, mail)
            print("If there is such an account, a link was mailed to its address.")
            return
        request = pb.ResetPasswordRequest(
            request_id=str(uuid.uuid4()),
            token=arguments.token,
            new_password=_read_new_password(from_stdin=arguments.password_stdin),
        )
        _call_with_token(client, client.accounts.ResetPassword, request)
    print("The password is set. All sessions have ended: run `dits login`.")


def handle_delete(arguments: Namespace) -> None:
    """Delete the user's account and its login."""
    request = pb.DeleteAccountRequest(username=arguments.username, validate_only=arguments.dry_run)
    login = get_login()
    with connect_with_password() as client:
        client.call(client.accounts.DeleteAccount, request)
    if arguments.dry_run:
        print(f"It could be deleted: {arguments.username}.")
        return
    Credentials().remove(login)
    print(f"Deleted: {arguments.username}.")


@contextmanager
def _connect_without_login(server: str) -> Iterator[Client]:
    """Connect to a server that is named, that of the login, or this machine, without a credential."""
    with Client(find_endpoints(server)) as client:
        yield client


def _get_own_name(server: str) -> str:
    """Return the username of the login. Raises ClientError if there is none."""
    login = get_login(ServerAccount(server))
    if not login.username:
        raise UsageError("name the account")
    return login.username


def _call_with_token(client: Client, method: Callable[..., Response], request: object) -> Response:
    """Return the response of a call that a mailed token allows."""
    try:
        return client.call(method, request)
    except RemoteError as error:
        if error.reason == ERROR_REASON_UNAUTHENTICATED:
            raise ClientError(
                "the token is not good, or not any more: have another link mailed"
            ) from None
        raise


def _read_new_password(*, from_stdin: bool) -> str:
    if from_stdin or not sys.stdin.isatty():
        new = sys.stdin.readline().rstrip("\r\n")
        if not new:
            raise ClientError("a new password is needed: type it, or write it to stdin")
        return new
    new = read_secret("New password: ")
    if read_secret("Once more: ") != new:
        raise ClientError("these are two different passwords")
    return new


def _describe_user(user: pb.User) -> Mapping[str, str]:
    verified = "" if user.email_verified else " (not verified: `dits account verify`)"
    pending = f"{user.pending_email} (open the mailed links)" if user.pending_email else ""
    return {
        "username": user.username,
        "name": user.name,
        "email": user.email + verified,
        "new email": pending,
        "picture": user.avatar_url,
        "created": str(user.create_time.ToDatetime().date()),
        "id": user.id,
        **{f"  {key}": value for key, value in sorted(user.preferences.items())},
    }


def _describe_profile(profile: pb.UserProfile) -> Mapping[str, str]:
    return {
        "username": profile.username,
        "name": profile.name,
        "picture": profile.avatar_url,
        "created": str(profile.create_time.ToDatetime().date()),
        "id": profile.id,
    }


def _print_lines(lines: Mapping[str, str]) -> None:
    for name, value in lines.items():
        if value:
            print(escape_text(f"{name:<10}  {value}"))
