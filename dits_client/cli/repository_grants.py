"""`dits repo`: who was given a right on a repository."""

import uuid
from argparse import Namespace

from dits.common.v1.permission_pb2 import Permission
from dits.repo.v1 import grant_service_pb2 as pb

from dits_client.cli.answers import record
from dits_client.cli.repository_admin import open_repository
from dits_client.cli.table import name_value, print_json, print_table

_PAGE = 1000


def handle_grant(arguments: Namespace) -> None:
    """Give a user or a team a right."""
    request = pb.SetGrantRequest(
        repository=arguments.repository,
        permission=Permission.Value(f"PERMISSION_{arguments.permission.upper()}"),
        **_name_grantee(arguments),
    )
    with open_repository(arguments.repository) as repository:
        given = repository.call(repository.grants.SetGrant, request).grant
    record(given)
    print(f"{given.username or given.team} has {_name_permission(given)} now.")


def handle_revoke(arguments: Namespace) -> None:
    """Take a right back."""
    request = pb.RemoveGrantRequest(
        repository=arguments.repository,
        request_id=str(uuid.uuid4()),
        **_name_grantee(arguments),
    )
    with open_repository(arguments.repository) as repository:
        repository.call(repository.grants.RemoveGrant, request)
    print(f"Took back what {arguments.grantee} was given.")


def handle_grants(arguments: Namespace) -> None:
    """List what users and teams were given."""
    request = pb.ListGrantsRequest(repository=arguments.repository, page_size=_PAGE)
    with open_repository(arguments.repository) as repository:
        pages = repository.list_pages(repository.grants.ListGrants, request)
        found = [each for page in pages for each in page.grants]
    if arguments.json:
        print_json(found)
        return
    rows = (
        (
            each.username or each.team,
            "team" if each.team else "user",
            _name_permission(each),
            str(each.create_time.ToDatetime().date()),
            each.granted_by,
        )
        for each in found
    )
    print_table(("NAME", "KIND", "RIGHT", "SINCE", "GIVEN BY"), rows, "No grants.")


def _name_grantee(arguments: Namespace) -> dict[str, str]:
    return {"team" if arguments.team else "user": arguments.grantee}


def _name_permission(grant: pb.Grant) -> str:
    return name_value(Permission, grant.permission, "PERMISSION_")
