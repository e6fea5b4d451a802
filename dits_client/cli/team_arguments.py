"""The arguments of `dits team`."""

from argparse import ArgumentParser

from dits_client.cli.arguments import Commands, add_command, parse_team


def add_team_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "Manage the teams of organisations."
    group = commands.add_parser(
        "team",
        help=text,
        description=f"{text} What changes something asks for your password, unless DITS_TOKEN may do it.",
    )
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    create = _add(inner, "create", "Create a team without members.")
    create.add_argument("--description", default="")
    listing = add_command(inner, "list", "team", "List the teams of an organisation.")
    listing.add_argument("organization", metavar="ORGANISATION")
    listing.add_argument("--mine", action="store_true", help="only those that you are in")
    update = _add(inner, "update", "Change a team.")
    update.add_argument("--name", help="its new name")
    update.add_argument("--description")
    _add(inner, "delete", "Delete a team, with what was granted to it.")
    members = _add(inner, "members", "List the members of a team.")
    add = _add(inner, "add", "Take a member of the organisation into a team, or change the role.")
    add.add_argument("user")
    add.add_argument(
        "--maintainer", action="store_true", help="may change the team and its members"
    )
    remove = _add(inner, "remove", "Take a member out of a team.")
    remove.add_argument("user")
    for command in (listing, members):
        command.add_argument("--json", action="store_true", help="print a line of JSON for each")


def _add(inner: Commands, name: str, text: str) -> ArgumentParser:
    """Add a command about one team."""
    command = add_command(inner, name, "team", text)
    command.add_argument("team", type=parse_team, metavar="ORGANISATION/TEAM")
    return command
