"""`dits-server admin dead-events`: what operators do with events that a consumer gave up."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from shared.db.pool import Database
from shared.outbox.dead_events import DeadEvent, drop_events, list_dead_events, requeue_events
from shared.runtime.config import ConfigError


def add_dead_event_commands(commands: Any, add_settings: Callable[[Any], None]) -> None:
    """Adds `dead-events` and its commands to those of a parser; each sets `work`, for a database."""
    about = "Deal with events that a consumer gave up: docs/operating.md."
    group = commands.add_parser("dead-events", help=about, description=about)
    inner = group.add_subparsers(dest="dead_events_command", required=True, metavar="COMMAND")
    listing = inner.add_parser("list", help="Show them.", description="Show them.")
    listing.add_argument("--consumer", help="only those of this consumer")
    listing.add_argument("--json", action="store_true", help="print a line of JSON for each")
    listing.set_defaults(work=_list)
    for name, work, about in (
        ("requeue", requeue_events, "Have the consumer try them again, once."),
        ("drop", drop_events, "Forget them."),
    ):
        command = inner.add_parser(name, help=about, description=about)
        command.add_argument("consumer", help="whose events, as the list shows it")
        command.add_argument("number", type=int, nargs="*", help="which, as the list shows them")
        command.add_argument("--all", action="store_true", help="all of the consumer")
        command.set_defaults(work=_change, change=work)
    for command in inner.choices.values():
        add_settings(command)


async def _list(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    found = await list_dead_events(database, arguments.consumer)
    return [_as_json(event) if arguments.json else _as_text(event) for event in found]


async def _change(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    numbers = arguments.number
    if bool(numbers) == arguments.all:
        raise ConfigError("name events, or say --all")
    if arguments.all:
        found = await list_dead_events(database, arguments.consumer)
        numbers = [event.number for event in found]
    await arguments.change(database, arguments.consumer, numbers)
    count = len(set(numbers))
    return ["1 event" if count == 1 else f"{count} events"]


def _as_json(event: DeadEvent) -> str:
    return json.dumps(asdict(event), default=str)


def _as_text(event: DeadEvent) -> str:
    state = "  requeued" if event.is_requeued else ""
    when = f"{event.died_at:%Y-%m-%d %H:%M:%S}"
    return f"{event.consumer}  {event.number}  {event.type}  {when}  {event.error!r}{state}"
