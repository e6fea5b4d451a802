"""`dits org`: members."""

import uuid
from argparse import Namespace

from dits.auth.v1 import organization_service_pb2 as pb

from dits_client.cli.answers import record
from dits_client.cli.org import name_role, parse_role
from dits_client.cli.session import connect, connect_with_password
from dits_client.cli.table import print_json, print_table

_PAGE = 1000


def handle_members(arguments: Namespace) -> None:
    """List the members of an organisation."""
    request = pb.ListMembersRequest(
        organization=arguments.organization, query=arguments.query, page_size=_PAGE
    )
    if arguments.role:
        request.role = parse_role(arguments.role)
    with connect() as (client, _):
        pages = client.list_pages(client.organizations.ListMembers, request)
        found = [each for page in pages for each in page.members]
    if arguments.json:
        print_json(found)
        return
    rows = (
        (each.username, name_role(each.role), str(each.join_time.ToDatetime().date()), each.name)
        for each in found
    )
    print_table(("USERNAME", "ROLE", "SINCE", "NAME"), rows, "No members.")


def handle_role(arguments: Namespace) -> None:
    """Give a member another role."""
    request = pb.UpdateMemberRoleRequest(
        organization=arguments.organization,
        user=arguments.user,
        role=parse_role(arguments.role),
    )
    with connect_with_password() as client:
        member = client.call(client.organizations.UpdateMemberRole, request).member
    record(member)
    print(f"{member.username} is {name_role(member.role)} now.")


def handle_remove(arguments: Namespace) -> None:
    """Remove a member."""
    request = pb.RemoveMemberRequest(
        organization=arguments.organization, user=arguments.user, request_id=str(uuid.uuid4())
    )
    with connect_with_password() as client:
        client.call(client.organizations.RemoveMember, request)
    print(f"Removed {arguments.user} from {arguments.organization}.")


def handle_leave(arguments: Namespace) -> None:
    """End the user's own membership."""
    request = pb.LeaveOrganizationRequest(
        organization=arguments.organization, request_id=str(uuid.uuid4())
    )
    with connect_with_password() as client:
        client.call(client.organizations.LeaveOrganization, request)
    print(f"You left {arguments.organization}.")
