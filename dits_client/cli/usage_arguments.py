"""The arguments of `dits usage`."""

from dits_client.cli.arguments import Commands, add_command, parse_day


def add_usage_command(commands: Commands) -> None:
    """Add the command."""
    text = "Show what was used, without idle days: by you, a repository or an organisation."
    usage = add_command(commands, "usage", "usage", text)
    whose = usage.add_mutually_exclusive_group()
    whose.add_argument("--repository", default="", help="owner/name")
    whose.add_argument("--organization", default="", metavar="NAME")
    usage.add_argument(
        "--from",
        dest="first_day",
        type=parse_day,
        metavar="YYYY-MM-DD",
        help="first day; default: 29 days before the last",
    )
    usage.add_argument(
        "--to",
        dest="last_day",
        type=parse_day,
        metavar="YYYY-MM-DD",
        help="last day; default: today",
    )
    usage.add_argument("--by", choices=("day", "week", "month"), default="day", help="default: day")
    form = usage.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print all figures as JSON")
    form.add_argument(
        "--csv", action="store_true", help="print days as CSV, of repositories that are owned, too"
    )
