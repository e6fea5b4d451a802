"""The arguments of `dits org`."""

from argparse import ArgumentParser, BooleanOptionalAction

from dits_client.cli.arguments import Commands, add_command, parse_days

ROLES = ("owner", "admin", "member", "billing")


def add_org_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "Manage organisations, their members and invitations."
    group = commands.add_parser(
        "org",
        help=text,
        description=f"{text} What changes something asks for your password, unless DITS_TOKEN may do it.",
    )
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    _add_organization_commands(inner)
    _add_member_commands(inner)
    _add_invitation_commands(inner)
    _add_token_commands(inner)


def _add_organization_commands(inner: Commands) -> None:
    create = _add(inner, "create", "org", "Create an organisation that you own.")
    create.add_argument("--display-name", default="", help="to show to people")
    listing = add_command(inner, "list", "org", "List your organisations.")
    show = _add(inner, "show", "org", "Show an organisation.")
    update = _add(inner, "update", "org", "Change an organisation.")
    update.add_argument("--name", dest="new_name", help="the old name leads to it for 30 days")
    for option in (
        "display-name",
        "description",
        "email",
        "website",
        "avatar-url",
        "billing-email",
    ):
        update.add_argument(f"--{option}")
    update.add_argument(
        "--member-permission",
        choices=("none", "read", "write", "admin"),
        help="what each member may do with every repository",
    )
    update.add_argument(
        "--require-mfa",
        action=BooleanOptionalAction,
        help="rights only for accounts with a second factor (dits account mfa)",
    )
    delete = _add(inner, "delete", "org", "Delete an organisation that owns no repositories.")
    delete.add_argument("--dry-run", action="store_true", help="only say whether it could be")
    for command in (listing, show):
        command.add_argument("--json", action="store_true", help="print JSON")


def _add_member_commands(inner: Commands) -> None:
    members = _add(inner, "members", "org_members", "List the members of an organisation.")
    members.add_argument("--query", default="", help="only those with this text in their names")
    members.add_argument("--role", choices=ROLES)
    members.add_argument("--json", action="store_true", help="print a line of JSON for each")
    role = _add(inner, "role", "org_members", "Give a member another role.")
    role.add_argument("user")
    role.add_argument("role", choices=ROLES)
    remove = _add(inner, "remove", "org_members", "Remove a member.")
    remove.add_argument("user")
    _add(inner, "leave", "org_members", "End your own membership.")


def _add_invitation_commands(inner: Commands) -> None:
    invite = _add(inner, "invite", "org_invitations", "Invite somebody by e-mail.")
    invite.add_argument("email")
    invite.add_argument("--role", choices=ROLES, default="member", help="default: member")
    listing = add_command(
        inner, "invitations", "org_invitations", "List open invitations: yours, or those of NAME."
    )
    listing.add_argument("organization", metavar="NAME", nargs="?", default="")
    listing.add_argument("--json", action="store_true", help="print a line of JSON for each")
    for name, text in (
        ("resend", "Send an invitation again."),
        ("revoke", "End an invitation."),
    ):
        command = _add(inner, name, "org_invitations", text)
        command.add_argument("invitation", help="its address or id")
    for name, text in (("accept", "Accept an invitation."), ("decline", "Decline an invitation.")):
        command = add_command(inner, name, "org_invitations", text)
        command.add_argument("invitation", help="the token from the mail, or the invitation's id")


def _add_token_commands(inner: Commands) -> None:
    listing = _add(inner, "tokens", "org_tokens", "List the API tokens that could reach it.")
    listing.add_argument("--status", choices=("pending", "approved", "rejected"))
    listing.add_argument("--json", action="store_true", help="print a line of JSON for each")
    for name, text in (
        ("approve-token", "Let a token reach its repositories."),
        ("reject-token", "Keep a token from its repositories."),
    ):
        command = _add(inner, name, "org_tokens", text)
        command.set_defaults(function=f"handle_{name.replace('-', '_')}")
        command.add_argument("token", help="its id, as `dits org tokens` shows it")
    policy = _add(inner, "token-policy", "org_tokens", "Show or change the rules for API tokens.")
    policy.set_defaults(function="handle_token_policy")
    policy.add_argument("--days", type=parse_days, help="the longest life; 0 = any")
    policy.add_argument(
        "--scope",
        action="append",
        metavar="SCOPE",
        help="what one may have; may be repeated; or all",
    )
    policy.add_argument("--approval", choices=("on", "off"), help="whether each needs approval")


def _add(inner: Commands, name: str, module: str, text: str) -> ArgumentParser:
    """Add a command about one organisation."""
    command = add_command(inner, name, module, text)
    command.add_argument("organization", metavar="NAME")
    return command
