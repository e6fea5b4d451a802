"""The arguments of `dits audit`."""

from argparse import ArgumentParser, ArgumentTypeError, _SubParsersAction
from datetime import UTC, datetime


def add_audit_command(commands: "_SubParsersAction[ArgumentParser]") -> None:
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
    audit.add_argument("-n", "--limit", type=int, default=50, help="default: 50; 0 = all")
    audit.add_argument("--json", action="store_true", help="print a line of JSON for each")


def _parse_time(text: str) -> datetime:
    """Return the moment of `2026-11-26` or `2026-11-26T14:30`, in UTC unless it says otherwise."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f'"{text}" is not a time such as 2026-11-26T14:30') from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
