"""`dits-server admin list-sessions` and `revoke`: the sessions and API tokens of a user."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from google.protobuf.json_format import MessageToDict

from services.auth.credentials import operator_credentials
from services.auth.credentials.operator_credentials import HeldCredentials
from shared.db.pool import Database
from shared.runtime.config import ConfigError


def add_credential_commands(commands: Any, add_settings: Callable[[Any], None]) -> None:
    """Adds the commands to those of a parser; each sets `work`, for a database."""
    about = "Show the live sessions and API tokens of a user."
    listing = commands.add_parser("list-sessions", help=about, description=about)
    listing.add_argument("username", help="whose")
    listing.add_argument("--json", action="store_true", help="print a line of JSON for each")
    listing.set_defaults(work=_list)
    about = "End sessions and API tokens of a user. All services refuse them within 5 seconds."
    revoke = commands.add_parser("revoke", help=about, description=about)
    revoke.add_argument("username", help="whose")
    revoke.add_argument("id", nargs="*", help="which, as list-sessions shows them")
    revoke.add_argument("--all", action="store_true", help="all of them")
    revoke.set_defaults(work=_revoke)
    for command in (listing, revoke):
        add_settings(command)


async def _list(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    found = await operator_credentials.list_credentials(database, arguments.username)
    return list(_as_json(found) if arguments.json else _as_text(found))


async def _revoke(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    if bool(arguments.id) == arguments.all:
        raise ConfigError("name sessions or tokens by their ids, or say --all")
    work = partial(
        operator_credentials.end_credentials,
        username=arguments.username,
        ids=None if arguments.all else arguments.id,
    )
    count = await database.transaction(work)
    return ["1 ended" if count == 1 else f"{count} ended"]


def _as_json(found: HeldCredentials) -> Sequence[str]:
    lines = []
    for kind, messages in (("session", found.sessions), ("api_token", found.tokens)):
        for message in messages:
            shown = MessageToDict(message, preserving_proto_field_name=True)
            lines.append(json.dumps({"kind": kind, **shown}))
    return lines


def _as_text(found: HeldCredentials) -> Sequence[str]:
    sessions = [
        f"session    {each.id}  until {each.expire_time.ToDatetime():%Y-%m-%d %H:%M} UTC  "
        f"used {each.last_active_time.ToDatetime():%Y-%m-%d %H:%M} UTC  "
        f"{each.last_network or each.login_network}  {each.device_name!r}"
        for each in found.sessions
    ]
    tokens = [
        f"api_token  {each.id}  until {_say_end(each)}  used {_say_use(each)}  "
        f"{each.last_use_network}  {each.name!r}  {' '.join(each.scopes)}"
        for each in found.tokens
    ]
    return [*sessions, *tokens]


def _say_end(token: Any) -> str:
    return f"{token.expire_time.ToDatetime():%Y-%m-%d}" if token.HasField("expire_time") else "ever"


def _say_use(token: Any) -> str:
    if not token.HasField("last_use_time"):
        return "never"
    return f"{token.last_use_time.ToDatetime():%Y-%m-%d %H:%M} UTC"
