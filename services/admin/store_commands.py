"""The commands of `dits-server store`; what they do loads most of the chunk service, and only then."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from shared.db.pool import Database


def add_store_commands(
    commands: Any, add_settings: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Adds `store` and its commands to those of a parser."""
    about = "Look after the place where packs lie."
    store = commands.add_parser("store", help=about, description=about)
    inner = store.add_subparsers(dest="store_command", required=True, metavar="COMMAND")
    for name, work, about in (
        ("check", _check, "Write, read, list and delete an object; exit status 1 if that fails."),
        ("move", _move, "Copy packs from second_store to store, where they are not there yet."),
        ("evacuate", _evacuate, "Bring everything that lies in a region into another one."),
        ("adopt", _adopt, "Take the store of the settings in place of one that is gone for good."),
    ):
        command = inner.add_parser(name, help=about, description=about)
        command.set_defaults(work=work)
        add_settings(command)
        if work is _adopt:
            about = "region, or tier as local.glacier; default: the server's region"
            command.add_argument("place", metavar="PLACE", nargs="?", help=about)
        if work is _evacuate:
            command.add_argument("source", metavar="REGION", help="the region that is to be empty")
            command.add_argument("--to", required=True, metavar="REGION", help="where chunks go")


async def _check(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    from services.admin.stores import check_stores

    return await check_stores(database, arguments.settings)


async def _move(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    from services.admin.stores import move_store

    return await move_store(database, arguments.settings)


async def _evacuate(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    from services.admin.stores import evacuate_region

    return await evacuate_region(database, arguments.settings, arguments.source, arguments.to)


async def _adopt(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    from services.admin.stores import adopt_store

    return await adopt_store(database, arguments.settings, arguments.place)
