"""`dits org tokens`: the API tokens that reach an organisation, and the rules for them."""

from argparse import Namespace

from dits.auth.v1 import organization_service_pb2 as opb
from dits.auth.v1 import organization_token_service_pb2 as pb

from dits_client.cli.answers import record
from dits_client.cli.session import connect_with_rights
from dits_client.cli.table import format_time, name_value, print_json, print_table
from dits_client.errors import UsageError

_PREFIX = "TOKEN_STATUS_"


def handle_tokens(arguments: Namespace) -> None:
    """List the tokens that could reach the repositories of an organisation."""
    request = pb.ListOrganizationTokensRequest(organization=arguments.organization, page_size=1000)
    if arguments.status:
        request.status = pb.TokenStatus.Value(f"{_PREFIX}{arguments.status.upper()}")
    with connect_with_rights() as client:
        pages = client.list_pages(client.organization_tokens.ListOrganizationTokens, request)
        found = [token for page in pages for token in page.tokens]
    if arguments.json:
        print_json(found)
        return
    headings = ("ID", "OWNER", "NAME", "SCOPES", "ENDS", "USED", "STATUS", "KEPT OUT BY")
    print_table(headings, map(_describe, found), "No tokens.")


def handle_approve_token(arguments: Namespace) -> None:
    """Let a token in."""
    request = pb.ApproveTokenRequest(organization=arguments.organization, token_id=arguments.token)
    with connect_with_rights() as client:
        client.call(client.organization_tokens.ApproveToken, request)
    print("Approved.")


def handle_reject_token(arguments: Namespace) -> None:
    """Keep a token out."""
    request = pb.RejectTokenRequest(organization=arguments.organization, token_id=arguments.token)
    with connect_with_rights() as client:
        client.call(client.organization_tokens.RejectToken, request)
    print("Rejected.")


def handle_token_policy(arguments: Namespace) -> None:
    """Show the rules for tokens, or change what the arguments name."""
    is_change = (arguments.days, arguments.scope, arguments.approval) != (None, None, None)
    with connect_with_rights() as client:
        read = opb.GetOrganizationRequest(organization=arguments.organization)
        found = client.call(client.organizations.GetOrganization, read).organization
        policy = found.settings.token_policy
        if is_change:
            _change(policy, arguments)
            request = opb.UpdateOrganizationRequest(organization=arguments.organization)
            request.values.settings.token_policy.CopyFrom(policy)
            request.update_mask.paths.append("settings.token_policy")
            changed = client.call(client.organizations.UpdateOrganization, request)
            policy = changed.organization.settings.token_policy
    record(policy)
    print(f"days      {policy.longest_days or 'any'}")
    print(f"scopes    {' '.join(policy.allowed_scopes) or 'all'}")
    print(f"approval  {'on' if policy.needs_approval else 'off'}")


def _change(policy: opb.TokenPolicy, arguments: Namespace) -> None:
    """Set the rules that the arguments name; the scope `all` allows all."""
    if arguments.days is not None:
        try:
            policy.longest_days = arguments.days
        except ValueError:
            raise UsageError("--days must be 0 to 366") from None
    if arguments.scope is not None:
        del policy.allowed_scopes[:]
        policy.allowed_scopes.extend(scope for scope in arguments.scope if scope != "all")
    if arguments.approval is not None:
        policy.needs_approval = arguments.approval == "on"


def _describe(token: pb.OrganizationToken) -> tuple[str, ...]:
    return (
        token.id,
        token.username,
        token.name,
        " ".join(token.scopes),
        format_time(token.expire_time) if token.HasField("expire_time") else "never",
        format_time(token.last_use_time) if token.HasField("last_use_time") else "never",
        name_value(pb.TokenStatus, token.status, _PREFIX),
        token.refusal,
    )
