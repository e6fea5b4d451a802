"""`dits-server admin set-plan`: what an owner may hold, and how many members an organisation may have."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from services.auth.organizations.plans import change_plan
from shared.db.pool import Database
from shared.runtime.config import ConfigError

_UNITS = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
ANY = "any"


def add_plan_command(commands: Any, add_settings: Callable[[Any], None]) -> None:
    """Adds the command to those of a parser; it sets `work`, for a database."""
    about = (
        "Say what an organisation or user may hold, and how many members it may have; or show it."
    )
    plan = commands.add_parser("set-plan", help=about, description=about)
    plan.set_defaults(work=_change)
    plan.add_argument("owner", help="name of an organisation or user")
    plan.add_argument(
        "--storage",
        metavar="SIZE",
        help=f"bytes, or like 500GB, 2TB; {ANY} = as much as there is room for",
    )
    plan.add_argument(
        "--seats",
        metavar="COUNT",
        help=f"members and open invitations of an organisation; {ANY} = no limit",
    )
    add_settings(plan)


async def _change(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    changes = {}
    if arguments.storage is not None:
        changes["plan_storage_bytes"] = parse_size(arguments.storage)
    if arguments.seats is not None:
        changes["plan_seats"] = parse_size(arguments.seats)
    plan = await database.transaction(partial(change_plan, name=arguments.owner, changes=changes))
    shown = {field: ANY if value is None else f"{value:,}" for field, value in plan.items()}
    unit = "" if plan["plan_storage_bytes"] is None else " bytes"
    seats = f", seats {shown['plan_seats']}" if "plan_seats" in shown else ""
    return [f"{arguments.owner}: storage {shown['plan_storage_bytes']}{unit}{seats}"]


def parse_size(text: str) -> int | None:
    """Returns a number of bytes; None = any. Raises ConfigError."""
    if text == ANY:
        return None
    match = re.fullmatch(r"(\d{1,19})(kB|MB|GB|TB)?", text)
    if match is None:
        raise ConfigError(f"{text!r} is no size like 500GB")
    return int(match[1]) * _UNITS[match[2] or ""]
