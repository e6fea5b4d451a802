"""The arguments of `dits session` and `dits token`."""

from dits_client.cli.arguments import Commands, add_command, parse_days


def add_session_commands(commands: Commands) -> None:
    """Add the commands of `dits session`."""
    text = "Show and end your sessions."
    group = commands.add_parser("session", help=text, description=text)
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    listing = add_command(inner, "list", "session_commands", "List your sessions; * is this one.")
    listing.add_argument("--all", action="store_true", help="those that have ended, too")
    listing.add_argument("--json", action="store_true", help="print a line of JSON for each")
    revoke = add_command(
        inner, "revoke", "session_commands", "End sessions; asks for your password."
    )
    revoke.add_argument("id", nargs="*", help="as the list shows it")
    revoke.add_argument("--all", action="store_true", help="all of them")
    revoke.add_argument("--keep-current", action="store_true", help="with --all: but for this one")


def add_token_commands(commands: Commands) -> None:
    """Add the commands of `dits token`."""
    text = "Manage API tokens, for machines and scripts."
    group = commands.add_parser("token", help=text, description=text)
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    create = add_command(
        inner, "create", "token", "Make a token and print its secret; asks for your password."
    )
    create.add_argument("name", help="what you call it")
    create.add_argument(
        "--scope", action="append", required=True, metavar="SCOPE", help="may be repeated"
    )
    create.add_argument(
        "--repository",
        action="append",
        default=[],
        metavar="OWNER/NAME",
        help="only this one; may be repeated; default: all that you reach",
    )
    create.add_argument("--days", type=parse_days, help="its life, at most 366; default: 90")
    create.add_argument("--json", action="store_true", help="print JSON, with the secret")
    listing = add_command(inner, "list", "token", "List your tokens, newest first.")
    listing.add_argument("--json", action="store_true", help="print a line of JSON for each")
    rename = add_command(inner, "rename", "token", "Rename a token; asks for your password.")
    rename.add_argument("token", help="its id or name")
    rename.add_argument("name", help="the new name")
    revoke = add_command(inner, "revoke", "token", "End a token; asks for your password.")
    revoke.add_argument("token", help="its id or name")
    report = add_command(
        inner, "report", "token", "End a token that you found, whoever owns it; needs no login."
    )
    report.add_argument("server", nargs="?", default="", help="default: the current one")
