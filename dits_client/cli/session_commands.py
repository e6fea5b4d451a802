"""`dits session`: the sessions of the user."""

from argparse import Namespace

from dits.auth.v1 import session_service_pb2 as pb

from dits_client.cli.session import connect, connect_with_rights
from dits_client.cli.table import format_time, print_json, print_table
from dits_client.errors import UsageError
from dits_client.server.client import Client
from dits_client.terminal import format_count


def handle_list(arguments: Namespace) -> None:
    """List the user's sessions, newest first."""
    request = pb.ListSessionsRequest(page_size=1000, include_ended=arguments.all)
    with connect() as (client, _):
        found = [
            each
            for page in client.list_pages(client.sessions.ListSessions, request)
            for each in page.sessions
        ]
    if arguments.json:
        print_json(found)
        return
    headings = ("ID", "DEVICE", "FROM", "OPENED", "USED", "ENDS")
    print_table(headings, map(_describe, found), "No sessions.")


def handle_revoke(arguments: Namespace) -> None:
    """End sessions: some, or all of them."""
    if bool(arguments.id) == arguments.all:
        raise UsageError("name sessions by their ids, or say --all")
    with connect_with_rights() as client:
        if arguments.all:
            request = pb.RevokeAllSessionsRequest(keep_current=arguments.keep_current)
            count = client.call(client.sessions.RevokeAllSessions, request).revoked_count
        else:
            count = _revoke(client, arguments.id)
    print(f"Ended: {format_count(count, 'session')}.")


def _revoke(client: Client, ids: list[str]) -> int:
    for session_id in ids:
        request = pb.RevokeSessionRequest(session_id=session_id)
        client.call(client.sessions.RevokeSession, request)
    return len(ids)


def _describe(session: pb.Session) -> tuple[str, ...]:
    end = f"{format_time(session.expire_time)}{'' if session.is_live else ' (ended)'}"
    return (
        f"{session.id}{' *' if session.is_current else ''}",
        session.device_name,
        session.last_network or session.login_network,
        format_time(session.create_time),
        format_time(session.last_active_time),
        end,
    )
