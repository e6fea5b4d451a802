"""`dits locks`: the locks of a repository, and what happens to them."""

import sys
from argparse import Namespace

from dits.common.v1.event_pb2 import EventType
from dits.common.v1.lock_type_pb2 import LockType
from dits.lock.v1.lock_service_pb2 import Lock, LockEvent, WatchRequest
from google.protobuf.json_format import MessageToJson

from dits_client.cli.session import connect_to
from dits_client.cli.table import format_time, name_value, print_json, tell_if_empty
from dits_client.cli.workspace_paths import open_workspace
from dits_client.errors import RemoteError, UsageError
from dits_client.server.events import resume_stream
from dits_client.server.locks import list_locks
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import escape_text


def handle_locks(arguments: Namespace) -> None:
    """List live locks: path, type, holder, times and reason; or what happens to them from now on."""
    if (arguments.limit or arguments.cursor) and not arguments.watch:
        raise UsageError("--limit and --cursor are for --watch")
    with connect_to(open_workspace()) as (repository, _):
        if arguments.watch:
            _watch(repository, arguments)
            return
        found = list_locks(repository, holder="me" if arguments.mine else "")
        for held in tell_if_empty(found, "No locks.", as_json=arguments.json):
            if arguments.json:
                print_json([held])
            else:
                print(describe_lock(held))


def _watch(repository: RepositoryClient, arguments: Namespace) -> None:
    """Print what happens to locks, until the user ends it or enough has happened."""
    left, is_broken = arguments.limit, False
    request = WatchRequest(repository=repository.name, cursor=arguments.cursor)
    for found in resume_stream(repository, repository.locks.Watch, request):
        if isinstance(found, RemoteError):
            if not is_broken:
                print(f"dits: {found}; trying again", file=sys.stderr)
            is_broken = True
            continue
        is_broken = False
        locks = [held for held in found.event.locks if held.ours or not arguments.mine]
        if not locks:
            continue
        if arguments.json:
            print(MessageToJson(found, preserving_proto_field_name=True, indent=None), flush=True)
        else:
            for held in locks:
                print(_describe_event(found.event, held), flush=True)
        left -= 1
        if left == 0:
            return


def _describe_event(event: LockEvent, held: Lock) -> str:
    """Return a line for what happened to a lock."""
    word = name_value(EventType, event.type, "EVENT_TYPE_LOCK_").replace("_", "-")
    when = event.time.ToDatetime().isoformat(" ", "seconds") + " UTC"
    reason = f"  ({escape_text(event.reason)})" if event.reason else ""
    return f"{when}  {word}  {describe_lock(held)}{reason}"


def describe_lock(held: Lock) -> str:
    """Return a line with path, type, holder, times and reason of a lock."""
    lock_type = name_value(LockType, held.type, "LOCK_TYPE_")
    reason = f"  ({held.reason})" if held.reason else ""
    since, until = format_time(held.lock_time), format_time(held.expire_time)
    holder = "you" if held.ours else held.holder
    line = f"{held.path}  {lock_type}  {holder}  since {since}  until {until}{reason}"
    return escape_text(line)
