"""`dits watch`."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from dits.common.v1.event_pb2 import BranchPayload, Event, EventType, TagPayload
from dits.repo.v1.event_service_pb2 import WatchRequest, WatchResponse
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest
from google.protobuf.json_format import MessageToJson

from dits_client.cli.session import connect
from dits_client.cli.table import name_value
from dits_client.cli.workspace_paths import open_workspace
from dits_client.errors import RemoteError
from dits_client.server.client import Client
from dits_client.server.events import watch_events
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import escape_text
from dits_client.workspace.state import USUAL_ACCOUNT


def handle_watch(arguments: Namespace) -> None:
    """Print what happens, until it is interrupted or has printed enough."""
    with _connect_to_subject(arguments) as (subject, request):
        names = _Names(subject)
        left = arguments.limit
        is_broken = False
        for found in watch_events(subject, request):
            if isinstance(found, RemoteError):
                if not is_broken:
                    print(f"dits: {found}; trying again", file=sys.stderr)
                is_broken = True
                continue
            is_broken = False
            if not found.HasField("event"):
                continue
            print(_to_json(found) if arguments.json else names.describe(found.event), flush=True)
            left -= 1
            if left == 0:
                return


@contextmanager
def _connect_to_subject(
    arguments: Namespace,
) -> Iterator[tuple[Client | RepositoryClient, WatchRequest]]:
    """Connect to what is watched: by default, the repository that the folder follows."""
    request = WatchRequest(patterns=arguments.patterns, cursor=arguments.cursor)
    at, name = USUAL_ACCOUNT, arguments.repository
    if arguments.all or arguments.owner:
        request.owner = arguments.owner
    elif not name:
        state = open_workspace().state
        at, name = state.server_account, state.address
    with connect(at) as (client, _):
        request.repository = name
        yield (RepositoryClient(client, name) if name else client), request


class _Names:
    """Describes events, with the names of their repositories."""

    def __init__(self, subject: Client | RepositoryClient) -> None:
        self._subject = subject
        self._names: dict[str, str] = {}

    def describe(self, event: Event) -> str:
        """Return the line for an event."""
        kind = name_value(EventType, event.type, "EVENT_TYPE_").replace("_", ".", 1)
        when = event.time.ToDatetime().isoformat(" ", "seconds") + " UTC"
        parts = [when, self._find_name(event.repository_id), kind, event.actor, *_describe(event)]
        return escape_text("  ".join(part for part in parts if part))

    def _find_name(self, repository_id: str) -> str:
        """Return `owner/name`, or the id of a repository that is not there any more."""
        if repository_id not in self._names:
            request = GetRepositoryRequest(repository=repository_id)
            try:
                found = self._subject.call(
                    self._subject.repositories.GetRepository, request
                ).repository
            except RemoteError:
                return repository_id
            self._names[repository_id] = f"{found.owner}/{found.name}"
        return self._names[repository_id]


def _describe(event: Event) -> Iterator[str]:
    """Yield what there is to say about an event."""
    match event.WhichOneof("payload"):
        case "push":
            yield from map(_describe_branch, event.push.branches)
            yield from map(_describe_tag, event.push.tags)
            yield f"new commits: {event.push.new_commit_count}"
        case "branch":
            yield _describe_branch(event.branch)
        case "tag":
            yield _describe_tag(event.tag)
        case "lock":
            yield from (lock.path for lock in event.lock.locks)
            yield event.lock.cause or event.lock.reason


def _describe_branch(payload: BranchPayload) -> str:
    was = f"{payload.previous_name} is " if payload.previous_name else ""
    return f"{was}{payload.branch} {_describe_move(payload)}"


def _describe_tag(payload: TagPayload) -> str:
    return f"tag {payload.tag} {_describe_move(payload)}" if payload.tag else ""


def _describe_move(payload: BranchPayload | TagPayload) -> str:
    return f"{payload.before[:12] or '-'}..{payload.after[:12] or '-'}"


def _to_json(response: WatchResponse) -> str:
    """Return a line: the event, and the cursor with which to go on after it."""
    return MessageToJson(response, preserving_proto_field_name=True, indent=None)
