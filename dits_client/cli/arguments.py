"""What the modules share that describe the arguments of the `dits` command."""

import re
from argparse import ArgumentParser, ArgumentTypeError, _SubParsersAction
from datetime import date, datetime, tzinfo
from typing import TypeAlias

from dits_client.terminal import quote_text

# Not subscriptable when the program runs.
Commands: TypeAlias = "_SubParsersAction[ArgumentParser]"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# A hundred years; and what the protos' fields take.
_MOST_SECONDS = 36_525 * 86_400
_MOST_COUNT, _MOST_BYTES = 2**31 - 1, 2**63 - 1


def add_command(commands: Commands, name: str, module: str, text: str) -> ArgumentParser:
    """Add a command whose handler is `handle_<name>` of a module of this package, with `_` for `-`."""
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(module=module, function=f"handle_{name.replace('-', '_')}")
    return command


def parse_duration(text: str) -> int:
    """Return seconds for `90`, `30m`, `8h`, `2d`."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    seconds = int(match[1]) * _UNITS[match[2] or "s"] if match else _MOST_SECONDS + 1
    if seconds > _MOST_SECONDS:
        raise ArgumentTypeError(f"{quote_text(text)} is not a duration such as 30m, 8h or 2d")
    return seconds


def parse_count(text: str) -> int:
    """Return a number from 0 to 2³¹ - 1."""
    return _parse_number(text, _MOST_COUNT)


def parse_days(text: str) -> int:
    """Return a number of days, from 0 to a hundred years."""
    return _parse_number(text, _MOST_SECONDS // _UNITS["d"])


def parse_bytes(text: str) -> int:
    """Return a number of bytes, from 0 to 2⁶³ - 1."""
    return _parse_number(text, _MOST_BYTES)


def _parse_number(text: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > most:
        raise ArgumentTypeError(f"{quote_text(text)} is not a number from 0 to {most}")
    return int(text)


def parse_time(text: str, zone: tzinfo | None = None) -> datetime:
    """Return the moment of `2026-11-26` or `2026-11-26T15:40`, by default in the zone of this machine."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone() if zone is None or found.tzinfo else found.replace(tzinfo=zone)
    except (ValueError, OverflowError):
        message = f"{quote_text(text)} is not a time such as 2026-11-26 or 2026-11-26T15:40"
        raise ArgumentTypeError(message) from None


def parse_day(text: str) -> str:
    """Return a day as it was given, if it is written `2026-11-26`."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ArgumentTypeError(f"{quote_text(text)} is not a day such as 2026-11-26") from None


def parse_pair(text: str) -> tuple[str, str]:
    """Return key and value of `KEY=VALUE`."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ArgumentTypeError(f"{quote_text(text)} is not KEY=VALUE")
    return key, value


def parse_team(text: str) -> tuple[str, str]:
    """Return the organisation and the team of `ORGANISATION/TEAM`."""
    organization, slash, team = text.partition("/")
    if not (organization and slash and team):
        raise ArgumentTypeError(
            f"{quote_text(text)} is not an organisation and a team: ORGANISATION/TEAM"
        )
    return organization, team
