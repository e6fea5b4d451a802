"""What the modules share that describe the arguments of the `dits` command."""

import re
from argparse import ArgumentParser, ArgumentTypeError, _SubParsersAction
from typing import TypeAlias

# Not subscriptable when the program runs.
Commands: TypeAlias = "_SubParsersAction[ArgumentParser]"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_command(commands: Commands, name: str, module: str, text: str) -> ArgumentParser:
    """Add a command whose handler is `handle_<name>` of a module of this package, with `_` for `-`."""
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(module=module, function=f"handle_{name.replace('-', '_')}")
    return command


def parse_duration(text: str) -> int:
    """Return seconds for `90`, `30m`, `8h`, `2d`."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if match is None:
        raise ArgumentTypeError(f'"{text}" is not a duration such as 30m, 8h or 2d')
    return int(match[1]) * _UNITS[match[2] or "s"]
