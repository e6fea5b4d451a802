"""`dits org`: organisations."""

import uuid
from argparse import Namespace

from dits.auth.v1 import organization_service_pb2 as pb
from dits.common.v1.permission_pb2 import Permission

from dits_client.cli.answers import record
from dits_client.cli.session import connect, connect_with_password
from dits_client.cli.table import name_value, print_json, print_table
from dits_client.errors import UsageError
from dits_client.terminal import escape_text

_PAGE = 1000
_TEXTS = ("display_name", "description", "email", "website", "avatar_url", "billing_email")


def handle_create(arguments: Namespace) -> None:
    """Create an organisation."""
    request = pb.CreateOrganizationRequest(
        request_id=str(uuid.uuid4()),
        name=arguments.organization,
        display_name=arguments.display_name,
    )
    with connect_with_password() as client:
        made = client.call(client.organizations.CreateOrganization, request).organization
    record(made)
    print(f"Created {made.name}.")


def handle_list(arguments: Namespace) -> None:
    """List the user's organisations."""
    request = pb.ListOrganizationsRequest(page_size=_PAGE)
    with connect() as (client, _):
        pages = client.list_pages(client.organizations.ListOrganizations, request)
        found = [each for page in pages for each in page.organizations]
    if arguments.json:
        print_json(found)
        return
    rows = ((each.name, name_role(each.role), each.display_name) for each in found)
    print_table(("NAME", "YOUR ROLE", "DISPLAY NAME"), rows, "No organisations.")


def handle_show(arguments: Namespace) -> None:
    """Show an organisation."""
    request = pb.GetOrganizationRequest(organization=arguments.organization)
    with connect() as (client, _):
        found = client.call(client.organizations.GetOrganization, request).organization
    if arguments.json:
        print_json([found])
        return
    permission = name_value(Permission, found.settings.member_permission, "PERMISSION_")
    seats = f" of {found.seats}" if found.seats else ""
    lines = {
        "name": found.name,
        **{name.replace("_", "-"): getattr(found, name) for name in _TEXTS},
        "plan": found.plan,
        "members": f"{found.member_count}{seats}",
        "member-permission": permission.replace("unspecified", "none"),
        "your role": name_role(found.role),
        "id": found.id,
    }
    for name, value in lines.items():
        if value:
            print(escape_text(f"{name:<17}  {value}"))


def handle_update(arguments: Namespace) -> None:
    """Change what the arguments name."""
    request = pb.UpdateOrganizationRequest(organization=arguments.organization)
    changes = {name: getattr(arguments, name) for name in _TEXTS} | {"name": arguments.new_name}
    for name, value in changes.items():
        if value is not None:
            setattr(request.values, name, value)
            request.update_mask.paths.append(name)
    if arguments.member_permission is not None:
        name = arguments.member_permission.upper().replace("NONE", "UNSPECIFIED")
        request.values.settings.member_permission = Permission.Value(f"PERMISSION_{name}")
        request.update_mask.paths.append("settings.member_permission")
    if arguments.require_mfa is not None:
        request.values.settings.require_mfa = arguments.require_mfa
        request.update_mask.paths.append("settings.require_mfa")
    if not request.update_mask.paths:
        raise UsageError("nothing to change: see `dits org update --help`")
    with connect_with_password() as client:
        changed = client.call(client.organizations.UpdateOrganization, request).organization
    record(changed)
    print(f"Changed {changed.name}.")


def handle_delete(arguments: Namespace) -> None:
    """Delete an organisation."""
    request = pb.DeleteOrganizationRequest(
        organization=arguments.organization,
        request_id=str(uuid.uuid4()),
        validate_only=arguments.dry_run,
    )
    with connect_with_password() as client:
        client.call(client.organizations.DeleteOrganization, request)
    verb = "It could be deleted" if arguments.dry_run else "Deleted"
    print(f"{verb}: {arguments.organization}.")


def name_role(role: pb.OrganizationRole.ValueType) -> str:
    """Return a role as arguments name it."""
    return name_value(pb.OrganizationRole, role, "ORGANIZATION_ROLE_")


def parse_role(name: str) -> pb.OrganizationRole.ValueType:
    """Return the role that an argument names."""
    return pb.OrganizationRole.Value(f"ORGANIZATION_ROLE_{name.upper()}")
