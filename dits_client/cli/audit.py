"""`dits audit`."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from dits.auth.v1 import audit_service_pb2 as pb
from google.protobuf.json_format import MessageToDict, MessageToJson

from dits_client.cli.session import connect, connect_with_password
from dits_client.cli.table import name_value, tell_if_empty
from dits_client.server.client import Client, iterate_pages
from shared.formats.text import escape_controls

_PAGE = 1000


def handle_audit(arguments: Namespace) -> None:
    """Print audit events, newest first."""
    wanted = pb.AuditFilter(
        actor=arguments.actor,
        action=arguments.action,
        start_time=arguments.start,
        end_time=arguments.end,
    )
    if arguments.repository:
        wanted.repository = arguments.repository
    elif arguments.organization:
        wanted.organization = arguments.organization
    elif arguments.site:
        wanted.site = True
    is_administration = bool(arguments.repository or arguments.organization)
    with _connect(is_administration=is_administration) as client:
        events = _iterate_events(client, wanted, arguments.limit)
        for event in tell_if_empty(events, "No events.", as_json=arguments.json):
            print(_to_json(event) if arguments.json else escape_controls(_describe(event)))


@contextmanager
def _connect(*, is_administration: bool) -> Iterator[Client]:
    """Connect with the user's login, or, for what it may not do, with the user's password."""
    if not is_administration or "DITS_TOKEN" in os.environ:
        with connect() as (client, _):
            yield client
        return
    with connect_with_password() as client:
        yield client


def _iterate_events(client: Client, wanted: pb.AuditFilter, limit: int) -> Iterator[pb.AuditEvent]:
    """Yield so many events, or all for 0."""
    request = pb.ListAuditEventsRequest(filter=wanted, page_size=min(limit, _PAGE) or _PAGE)
    left = limit
    for page in iterate_pages(client.call, client.audit.ListAuditEvents, request):
        for event in page.events:
            yield event
            left -= 1
            if left == 0:
                return


def _to_json(event: pb.AuditEvent) -> str:
    return MessageToJson(event, preserving_proto_field_name=True, indent=None)


def _describe(event: pb.AuditEvent) -> str:
    """Return the line for an event."""
    when = event.event_time.ToDatetime().isoformat(" ", "seconds") + " UTC"
    actor = (
        event.actor or name_value(pb.AuditActorType, event.actor_type, "AUDIT_ACTOR_TYPE_").upper()
    )
    details = MessageToDict(event.details)
    more = [f"{name}={value}" for name, value in details.items()]
    parts = [
        when,
        actor,
        event.action,
        event.resource_name or event.resource_id,
        event.ip_address,
        *more,
    ]
    return "  ".join(part for part in parts if part)
