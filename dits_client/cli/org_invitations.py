"""`dits org`: invitations."""

import re
import uuid
from argparse import Namespace
from collections.abc import Sequence

from dits.auth.v1 import invitation_service_pb2 as pb

from dits_client.cli.answers import record
from dits_client.cli.org import name_role, parse_role
from dits_client.cli.session import connect, connect_with_password
from dits_client.cli.table import format_time, print_json, print_table
from dits_client.errors import ClientError
from dits_client.server.client import Client
from dits_client.terminal import escape_text, quote_text

_PAGE = 1000
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def handle_invite(arguments: Namespace) -> None:
    """Invite an address."""
    request = pb.CreateInvitationRequest(
        organization=arguments.organization,
        email=arguments.email,
        role=parse_role(arguments.role),
        request_id=str(uuid.uuid4()),
    )
    with connect_with_password() as client:
        made = client.call(client.invitations.CreateInvitation, request).invitation
    _print_sent(made)


def handle_invitations(arguments: Namespace) -> None:
    """List the open invitations of the user, or of an organisation."""
    with connect() as (client, _):
        if arguments.organization:
            found = _list_of(client, arguments.organization)
        else:
            request = pb.ListReceivedInvitationsRequest(page_size=_PAGE)
            pages = client.list_pages(client.invitations.ListReceivedInvitations, request)
            found = [each for page in pages for each in page.invitations]
    if arguments.json:
        print_json(found)
        return
    rows = (
        (
            each.id,
            each.organization,
            each.email,
            name_role(each.role),
            each.inviter,
            format_time(each.expire_time),
        )
        for each in found
    )
    headings = ("ID", "ORGANISATION", "E-MAIL", "ROLE", "INVITED BY", "ENDS")
    print_table(headings, rows, "No open invitations.")


def handle_resend(arguments: Namespace) -> None:
    """Send an invitation again."""
    with connect_with_password() as client:
        request = pb.ResendInvitationRequest(
            organization=arguments.organization,
            invitation_id=_find_id(client, arguments),
            request_id=str(uuid.uuid4()),
        )
        made = client.call(client.invitations.ResendInvitation, request).invitation
    _print_sent(made)


def handle_revoke(arguments: Namespace) -> None:
    """End an invitation."""
    with connect_with_password() as client:
        request = pb.RevokeInvitationRequest(
            organization=arguments.organization, invitation_id=_find_id(client, arguments)
        )
        client.call(client.invitations.RevokeInvitation, request)
    print(escape_text(f"Revoked the invitation of {arguments.invitation}."))


def handle_accept(arguments: Namespace) -> None:
    """Become a member of the organisation that invites the user."""
    request = pb.AcceptInvitationRequest(answer=_make_answer(arguments.invitation))
    with connect_with_password() as client:
        joined = client.call(client.invitations.AcceptInvitation, request).organization
    record(joined)
    print(f"You are a member of {joined.name}: {name_role(joined.role)}.")


def handle_decline(arguments: Namespace) -> None:
    """Decline an invitation."""
    request = pb.DeclineInvitationRequest(answer=_make_answer(arguments.invitation))
    with connect_with_password() as client:
        client.call(client.invitations.DeclineInvitation, request)
    print("Declined the invitation.")


def _make_answer(invitation: str) -> pb.InvitationAnswer:
    if _UUID.fullmatch(invitation.lower()):
        return pb.InvitationAnswer(invitation_id=invitation)
    return pb.InvitationAnswer(token=invitation)


def _list_of(client: Client, organization: str) -> Sequence[pb.Invitation]:
    request = pb.ListInvitationsRequest(organization=organization, page_size=_PAGE)
    pages = client.list_pages(client.invitations.ListInvitations, request)
    return [each for page in pages for each in page.invitations]


def _find_id(client: Client, arguments: Namespace) -> str:
    """Return the id of the open invitation that the arguments name by id or address."""
    wanted: str = arguments.invitation
    if _UUID.fullmatch(wanted.lower()):
        return wanted
    for each in _list_of(client, arguments.organization):
        if each.email.casefold() == wanted.casefold():
            return each.id
    raise ClientError(f"{quote_text(wanted)} has no open invitation")


def _print_sent(invitation: pb.Invitation) -> None:
    record(invitation)
    text = f"Invited {invitation.email} as {name_role(invitation.role)}, until "
    print(escape_text(text + format_time(invitation.expire_time)) + ".")
