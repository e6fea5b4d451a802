"""`dits-server admin`: what operators do with accounts."""

from __future__ import annotations

import argparse
import json
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from services.auth.accounts.operator_accounts import (
    OperatorAccount,
    open_account,
    require_new_password,
)
from services.auth.accounts.pending_links import PendingLink, show_links
from services.auth.accounts.statuses import reinstate_account, suspend_account
from services.auth.credentials.one_time_tokens import IssuedToken
from shared.db.pool import Database
from shared.records.deployment import require_key
from shared.runtime.config import ConfigError, Settings
from shared.runtime.server_key import ServerKey


def add_account_commands(commands: Any, add_settings: Callable[[Any], None]) -> None:
    """Adds the commands to those of a parser; each sets `work`, for a database."""

    def add(name: str, work: Any, about: str) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
        command.set_defaults(work=work)
        return command

    create = add(
        "create-user", _create, "Open an account, and print the command that sets its password."
    )
    create.add_argument("username")
    create.add_argument("email")
    create.add_argument("--name", default="", help="to show to people; default: the username")
    create.add_argument(
        "--verified", action="store_true", help="the address is known to be the user's"
    )
    suspend = add("suspend", _suspend, "Bar an account, and end its sessions.")
    suspend.add_argument("username")
    suspend.add_argument("--reason", required=True, help="kept in the audit log, and mailed")
    suspend.add_argument(
        "--until",
        metavar="TIME",
        help="when it ends by itself, 2026-12-31 or 2026-12-31T18:00, UTC",
    )
    reinstate = add("reinstate", _reinstate, "Let an account back in.")
    reinstate.add_argument("username")
    reset = add(
        "reset-password",
        _reset,
        "End the password and the sessions of an account, and print the command that sets another.",
    )
    reset.add_argument("username")
    for command in (create, suspend, reinstate, reset):
        add_settings(command)


def add_link_command(commands: Any, add_settings: Callable[[Any], None]) -> None:
    """Adds `list-links` to the commands of a parser."""
    about = "Show mailed links that are good still, or were not mailed; the audit log tells of it."
    links = commands.add_parser("list-links", help=about, description=about)
    links.set_defaults(work=_list_links)
    links.add_argument("name", nargs="?", help="only those of this account or invited address")
    links.add_argument("--json", action="store_true", help="print a line of JSON for each")
    add_settings(links)


async def _create(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    wanted = OperatorAccount.parse(
        arguments.username, arguments.email, arguments.name, is_verified=arguments.verified
    )
    key = await load_key(database, arguments.settings)
    issued = await database.transaction(partial(open_account, key=key, wanted=wanted))
    return _describe_token(issued, arguments.settings)


async def _suspend(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    until = _parse_time(arguments.until)
    key = await load_key(database, arguments.settings)
    suspend = partial(
        suspend_account,
        key=key,
        username=arguments.username,
        reason=arguments.reason,
        until=until,
    )
    await database.transaction(suspend)
    end = f"until {_minute(until.astimezone(UTC))}" if until else "until it is reinstated"
    return [f"{arguments.username} is suspended {end}"]


async def _reinstate(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    await database.transaction(partial(reinstate_account, username=arguments.username))
    return [f"{arguments.username} is active"]


async def _reset(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    key = await load_key(database, arguments.settings)
    issued = await database.transaction(
        partial(require_new_password, key=key, username=arguments.username)
    )
    return _describe_token(issued, arguments.settings)


async def _list_links(database: Database, arguments: argparse.Namespace) -> Sequence[str]:
    key = await load_key(database, arguments.settings)
    found = await database.transaction(partial(show_links, key=key, name=arguments.name))
    website = arguments.settings.website_url or ""
    describe = _as_json if arguments.json else _as_text
    return [describe(link, website) for link in found]


def _describe_token(issued: IssuedToken, settings: Settings) -> Sequence[str]:
    """Returns the command that sets a password, for who reaches the server where it listens."""
    host = socket.getfqdn() if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    shown = f"[{host}]" if ":" in host else host
    command = f"dits account reset-password --server {shown}:{settings.auth_port}"
    return [f"{command} --token {issued.secret}  # until {_minute(issued.expires)}"]


def _as_text(link: PendingLink, website: str) -> str:
    parts = (link.purpose, link.name, link.address, website + link.link)
    return f"{'  '.join(parts)}  until {_minute(link.expires)}"


def _as_json(link: PendingLink, website: str) -> str:
    shown = {
        "purpose": link.purpose,
        "name": link.name,
        "address": link.address,
        "link": website + link.link,
        "token": link.token,
        "expires": link.expires.isoformat(),
    }
    return json.dumps(shown)


def _parse_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time such as 2026-12-31T18:00.") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


async def load_key(database: Database, settings: Settings) -> ServerKey:
    """Returns the key that the services seal mails with. Raises ConfigError if it is not here."""
    is_elsewhere = settings.database_url is not None and settings.server_key is None
    if is_elsewhere and not (settings.data_dir / "server.key").exists():
        raise ConfigError("It needs the key of the services: set DITS_SERVER_KEY or DITS_DATA_DIR.")
    key = ServerKey.load(settings.server_key, settings.data_dir, settings.accepted_server_key)
    await require_key(database, key)
    return key
