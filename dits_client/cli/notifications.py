"""`dits notifications`."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from dits.auth.v1.notification_service_pb2 import (
    Digest,
    FollowBranchRequest,
    GetPreferencesRequest,
    ListFollowedBranchesRequest,
    ListNotificationsRequest,
    MarkAllReadRequest,
    MarkReadRequest,
    Notification,
    Preferences,
    UnfollowBranchRequest,
    UnsubscribeRequest,
    UpdatePreferencesRequest,
    WatchRequest,
)
from google.protobuf.json_format import MessageToJson

from dits_client.batches import split_into_batches
from dits_client.checkout.switch import missing_branch
from dits_client.cli.answers import record
from dits_client.cli.session import connect
from dits_client.cli.table import format_time, name_value, tell_if_empty
from dits_client.cli.workspace_paths import open_workspace
from dits_client.errors import ClientError, RemoteError
from dits_client.server.client import Client
from dits_client.server.events import resume_stream
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import escape_text, quote_text
from dits_client.workspace.state import USUAL_ACCOUNT

PAGE = 1000
SHORT_ID = 8
_ID_LENGTH = 36


def handle_list(arguments: Namespace) -> None:
    """List notifications, newest first, or print them as they come."""
    with connect() as (client, _):
        if arguments.watch:
            _watch(client, arguments)
            return
        limit = max(arguments.limit, 0) or None
        listed = islice(_list(client, unread_only=arguments.unread), limit)
        empty = "No unread notifications." if arguments.unread else "No notifications."
        for found in tell_if_empty(listed, empty, as_json=arguments.json):
            _print(found, as_json=arguments.json)


def _watch(client: Client, arguments: Namespace) -> None:
    """Print what comes, until it is interrupted or has printed as much as `--limit` says."""
    left, is_broken = arguments.limit, False
    for message in resume_stream(client, client.notifications.Watch, WatchRequest()):
        if isinstance(message, RemoteError):
            if not is_broken:
                print(f"dits: {message}; trying again", file=sys.stderr)
            is_broken = True
            continue
        is_broken = False
        if message.HasField("notification"):
            _print(message.notification, as_json=arguments.json)
            left -= 1
            if left == 0:
                return


def _list(client: Client, *, unread_only: bool) -> Iterator[Notification]:
    request = ListNotificationsRequest(page_size=PAGE, unread_only=unread_only)
    for page in client.list_pages(client.notifications.ListNotifications, request):
        yield from page.notifications


def _print(found: Notification, *, as_json: bool) -> None:
    if as_json:
        print(MessageToJson(found, preserving_proto_field_name=True, indent=None), flush=True)
        return
    mark = " " if found.HasField("read_time") else "*"
    when = format_time(found.create_time)
    print(f"{mark} {found.id[:SHORT_ID]}  {when}  {escape_text(found.title)}", flush=True)
    for line in filter(None, found.message.splitlines()):
        print(f"    {escape_text(line)}", flush=True)


def handle_read(arguments: Namespace) -> None:
    """Mark notifications as read."""
    with connect() as (client, _):
        ids = _complete_ids(client, arguments.ids)
        for batch in split_into_batches(ids, max_count=PAGE):
            client.call(client.notifications.MarkRead, MarkReadRequest(ids=batch))


def _complete_ids(client: Client, given: list[str]) -> list[str]:
    """Return the ids that begin as the user typed. Raise ClientError for what no single one begins with."""
    if all(len(text) == _ID_LENGTH for text in given):
        return given
    known = [found.id for found in _list(client, unread_only=False)]
    ids = []
    for text in given:
        matches = [name for name in known if name.startswith(text.lower())]
        if len(matches) != 1:
            problem = "several notifications begin" if matches else "no notification begins"
            raise ClientError(f"{problem} with {quote_text(text)}")
        ids += matches
    return ids


def handle_read_all(_: Namespace) -> None:
    """Mark all notifications as read."""
    with connect() as (client, _login):
        client.call(client.notifications.MarkAllRead, MarkAllReadRequest())


def handle_preferences(arguments: Namespace) -> None:
    """Show what the user gets by e-mail, after the changes that were asked for."""
    request = UpdatePreferencesRequest()
    for field in Preferences.DESCRIPTOR.fields_by_name:
        value = getattr(arguments, field.removeprefix("email_on_"))
        if value is not None:
            value = Digest.Value(f"DIGEST_{value.upper()}") if field == "digest" else value
            setattr(request.preferences, field, value)
            request.update_mask.paths.append(field)
    with connect() as (client, _):
        if request.update_mask.paths:
            response = client.call(client.notifications.UpdatePreferences, request)
            found = response.preferences
        else:
            shown = client.call(client.notifications.GetPreferences, GetPreferencesRequest())
            found = shown.preferences
    record(found)
    for field in Preferences.DESCRIPTOR.fields_by_name:
        print(f"{field.removeprefix('email_on_').replace('_', '-'):18}{_name_value(found, field)}")


def _name_value(preferences: Preferences, field: str) -> str:
    if field == "digest":
        return name_value(Digest, preferences.digest, "DIGEST_")
    return "on" if getattr(preferences, field) else "off"


def handle_follow(arguments: Namespace) -> None:
    """Follow a branch."""
    with _connect_to_repository(arguments) as (client, repository, name):
        remote = RepositoryClient(client, repository)
        is_there = remote.get_head(arguments.branch)
        request = FollowBranchRequest(repository=repository, branch=arguments.branch)
        client.call(client.notifications.FollowBranch, request)
        print(f"following {arguments.branch} of {name}")
        if not is_there:
            missing = missing_branch(remote, arguments.branch)
            print(f"There is no such branch yet: {missing}")


def handle_unfollow(arguments: Namespace) -> None:
    """Follow a branch no more."""
    with _connect_to_repository(arguments) as (client, repository, name):
        request = UnfollowBranchRequest(repository=repository, branch=arguments.branch)
        client.call(client.notifications.UnfollowBranch, request)
    print(f"no longer following {arguments.branch} of {name}")


@contextmanager
def _connect_to_repository(arguments: Namespace) -> Iterator[tuple[Client, str, str]]:
    """Yield the server of a repository, by default of the folder's, its address and its name."""
    at, address, name = USUAL_ACCOUNT, arguments.repository, arguments.repository
    if not name:
        state = open_workspace().state
        at, address, name = state.server_account, state.address, state.repository
    with connect(at) as (client, _):
        yield client, address, name


def handle_following(arguments: Namespace) -> None:
    """List the branches that the user follows."""
    request = ListFollowedBranchesRequest(page_size=PAGE)
    with connect() as (client, _login):
        pages = client.list_pages(client.notifications.ListFollowedBranches, request)
        followed = (found for page in pages for found in page.branches)
        for found in tell_if_empty(followed, "No followed branches.", as_json=arguments.json):
            record(found)
            print(f"{found.repository}  {found.branch}")


def handle_unsubscribe(arguments: Namespace) -> None:
    """Turn off what a mail says that it turns off."""
    with connect() as (client, _):
        request = UnsubscribeRequest(token=arguments.token)
        response = client.call(client.notifications.Unsubscribe, request)
    name = response.preference.removeprefix("email_on_").replace("_", "-")
    print(f"{name} is off")
