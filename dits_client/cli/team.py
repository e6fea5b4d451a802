"""`dits team`."""

import uuid
from argparse import Namespace

from dits.auth.v1 import team_service_pb2 as pb

from dits_client.cli.answers import record
from dits_client.cli.session import connect, connect_with_password
from dits_client.cli.table import name_value, print_json, print_table
from dits_client.errors import UsageError

_PAGE = 1000


def handle_create(arguments: Namespace) -> None:
    """Create a team."""
    organization, name = arguments.team
    request = pb.CreateTeamRequest(
        organization=organization,
        name=name,
        description=arguments.description,
        request_id=str(uuid.uuid4()),
    )
    with connect_with_password() as client:
        made = client.call(client.teams.CreateTeam, request).team
    record(made)
    print(f"Created {organization}/{made.name}.")


def handle_list(arguments: Namespace) -> None:
    """List the teams of an organisation."""
    request = pb.ListTeamsRequest(
        organization=arguments.organization, own_only=arguments.mine, page_size=_PAGE
    )
    with connect() as (client, _):
        pages = client.list_pages(client.teams.ListTeams, request)
        found = [each for page in pages for each in page.teams]
    if arguments.json:
        print_json(found)
        return
    rows = ((each.name, _name_role(each.role), each.description) for each in found)
    print_table(("NAME", "YOUR ROLE", "DESCRIPTION"), rows, "No teams.")


def handle_update(arguments: Namespace) -> None:
    """Change what the arguments name."""
    organization, team = arguments.team
    request = pb.UpdateTeamRequest(organization=organization, team=team)
    for name in ("name", "description"):
        value = getattr(arguments, name)
        if value is not None:
            setattr(request.values, name, value)
            request.update_mask.paths.append(name)
    if not request.update_mask.paths:
        raise UsageError("nothing to change: give --name or --description")
    with connect_with_password() as client:
        changed = client.call(client.teams.UpdateTeam, request).team
    record(changed)
    print(f"Changed {organization}/{changed.name}.")


def handle_delete(arguments: Namespace) -> None:
    """Delete a team."""
    organization, team = arguments.team
    request = pb.DeleteTeamRequest(
        organization=organization, team=team, request_id=str(uuid.uuid4())
    )
    with connect_with_password() as client:
        client.call(client.teams.DeleteTeam, request)
    print(f"Deleted {organization}/{team}.")


def handle_members(arguments: Namespace) -> None:
    """List the members of a team."""
    organization, team = arguments.team
    request = pb.ListTeamMembersRequest(organization=organization, team=team, page_size=_PAGE)
    with connect() as (client, _):
        pages = client.list_pages(client.teams.ListTeamMembers, request)
        found = [each for page in pages for each in page.members]
    if arguments.json:
        print_json(found)
        return
    rows = (
        (each.username, _name_role(each.role), str(each.join_time.ToDatetime().date()), each.name)
        for each in found
    )
    print_table(("USERNAME", "ROLE", "SINCE", "NAME"), rows, "No members.")


def handle_add(arguments: Namespace) -> None:
    """Take a member of the organisation into a team."""
    organization, team = arguments.team
    role = pb.TEAM_ROLE_MAINTAINER if arguments.maintainer else pb.TEAM_ROLE_MEMBER
    request = pb.SetTeamMemberRequest(
        organization=organization, team=team, user=arguments.user, role=role
    )
    with connect_with_password() as client:
        member = client.call(client.teams.SetTeamMember, request).member
    record(member)
    print(f"{member.username} is {_name_role(member.role)} of {organization}/{team} now.")


def handle_remove(arguments: Namespace) -> None:
    """Take a member out of a team."""
    organization, team = arguments.team
    request = pb.RemoveTeamMemberRequest(
        organization=organization, team=team, user=arguments.user, request_id=str(uuid.uuid4())
    )
    with connect_with_password() as client:
        client.call(client.teams.RemoveTeamMember, request)
    print(f"Took {arguments.user} out of {organization}/{team}.")


def _name_role(role: pb.TeamRole.ValueType) -> str:
    name = name_value(pb.TeamRole, role, "TEAM_ROLE_")
    return "-" if name == "unspecified" else name
