"""The arguments of `dits audit`."""

from datetime import UTC
from functools import partial

from dits_client.cli.arguments import Commands, parse_count, parse_time

_parse_time = partial(parse_time, zone=UTC)


def add_audit_command(commands: Commands) -> None:
    """Add the command to those of `dits`."""
    text = "Show who changed what about security: you, or all in a repository or organisation."
    audit = commands.add_parser("audit", help=text, description=text)
    audit.set_defaults(module="audit", function="handle_audit")
    whose = audit.add_mutually_exclusive_group()
    whose.add_argument("--repository", default="", help="owner/name; asks for your password")
    whose.add_argument("--organization", default="", metavar="NAME", help="asks for your password")
    whose.add_argument("--site", action="store_true", help="everything; needs the operator's token")
    audit.add_argument("--actor", default="", help="username of who did it")
    audit.add_argument("--action", default="", help="what was done, for example token.created")
    audit.add_argument("--from", dest="start", type=_parse_time, help="YYYY-MM-DD[THH:MM], UTC")
    audit.add_argument("--to", dest="end", type=_parse_time, help="before this time")
    audit.add_argument("-n", "--limit", type=parse_count, default=50, help="default: 50; 0 = all")
    audit.add_argument("--json", action="store_true", help="print a line of JSON for each")
