"""`dits-server admin`: the commands of operators, which speak to the database alone."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from services import database as databases
from services.admin.accounts import add_account_commands, add_link_command
from services.admin.audit_chain import Head, LogReport, verify_log
from services.admin.dead_events import add_dead_event_commands
from services.admin.plans import add_plan_command
from services.admin.server_key import add_key_commands
from services.admin.store_commands import add_store_commands
from services.admin.user_credentials import add_credential_commands
from services.auth.credentials.operator_tokens import LONGEST_DAYS, create_operator_token
from shared.db.pool import Database
from shared.errors import DomainError
from shared.postgres.running import find_running
from shared.runtime import config
from shared.runtime.config import ConfigError, Settings

# The chain of a large month takes longer than any request may.
_SESSION = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
_DEFAULT_DAYS = 30


def add_commands(commands: Any) -> None:
    """Adds `admin` and its commands to those of a parser."""
    about = "Look after the database as its operator."
    admin = commands.add_parser("admin", help=about, description=about)
    inner = admin.add_subparsers(dest="admin_command", required=True, metavar="COMMAND")

    about = "Check the chains of hashes over the audit log; exit status 1 if one is broken."
    verify = inner.add_parser("verify-audit", help=about, description=about)
    verify.add_argument("--json", action="store_true", help="print what --expect takes later")
    verify.add_argument(
        "--expect", type=Path, metavar="FILE", help="what --json printed once: it must still hold"
    )
    verify.set_defaults(run=_verify_audit)
    config.add_options(verify)

    about = "Create an API token with the scope site:admin, and print it."
    token = inner.add_parser("create-token", help=about, description=about)
    token.add_argument("username", help="the account that the token acts for")
    token.add_argument("--name", default="operator", help="what the token is called")
    token.add_argument(
        "--days", type=int, default=_DEFAULT_DAYS, help=f"its life, at most {LONGEST_DAYS}"
    )
    token.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="SCOPE",
        help="another scope: the token has sudo for what it covers (may be repeated)",
    )
    token.set_defaults(run=_create_token)
    config.add_options(token)
    add_dead_event_commands(inner, _add_settings)
    add_credential_commands(inner, _add_settings)
    add_account_commands(inner, _add_settings)
    add_link_command(inner, _add_settings)
    add_plan_command(inner, _add_settings)
    add_key_commands(inner, _add_settings)

    _add_fsck_command(commands)
    add_store_commands(commands, _add_settings)


def _add_fsck_command(commands: Any) -> None:
    about = (
        "Check all that is stored against all that names it; exit status 1 if something is wrong."
    )
    fsck = commands.add_parser("fsck", help=about, description=about)
    about = "count again what is counted wrongly in the catalog of chunks"
    fsck.add_argument("--repair", action="store_true", help=about)
    fsck.set_defaults(run=_fsck)
    config.add_options(fsck)


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_print_work)
    config.add_options(command)


def _print_work(settings: Settings, arguments: argparse.Namespace) -> None:
    """Prints the lines that the work of a command returns, which finds the settings in its arguments."""
    arguments.settings = settings

    async def work(database: Database) -> Sequence[str]:
        lines: Sequence[str] = await arguments.work(database, arguments)
        return lines

    try:
        for line in _on_database(settings, work):
            print(line)
    except (DomainError, FileExistsError) as error:
        sys.exit(f"dits-server: {getattr(error, 'message', error)}")


def _fsck(settings: Settings, arguments: argparse.Namespace) -> None:
    # Only here: it loads most of the chunk service.
    from services.admin.fsck import Report, check_everything

    async def check(database: Database) -> Report:
        return await check_everything(database, settings, repair=arguments.repair)

    report = _on_database(settings, check)
    print(report)
    if report.faults:
        sys.exit(1)


def _verify_audit(settings: Settings, arguments: argparse.Namespace) -> None:
    expected = read_heads(arguments.expect) if arguments.expect else {}
    report = _on_database(settings, lambda database: verify_log(database, expected))
    print(_as_json(report) if arguments.json else _as_text(report))
    if not report.is_intact:
        sys.exit(1)


def _create_token(settings: Settings, arguments: argparse.Namespace) -> None:
    name, days = arguments.name, arguments.days

    async def create(database: Database) -> str:
        return await create_operator_token(
            database, arguments.username, name, days, arguments.scope
        )

    try:
        print(_on_database(settings, create))
    except DomainError as error:
        sys.exit(f"dits-server: {error.message}")


def _on_database(settings: Settings, work: Callable[[Database], Awaitable[Any]]) -> Any:
    """Returns what the work returns, on a database that fits this program."""

    async def run(dsn: str) -> Any:
        await databases.check_schema(dsn)
        database = await Database.connect(dsn, service="admin", size=2, settings=_SESSION)
        try:
            return await work(database)
        finally:
            await database.close()

    with _database(settings) as dsn:
        return asyncio.run(run(dsn))


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """The configured database, or the embedded one, whether `dits-server up` runs or not."""
    running = None if settings.database_url else find_running(settings.data_dir / "postgres")
    if running is not None:
        yield running
        return
    with databases.database(settings) as (dsn, _postgres):
        yield dsn


def read_heads(file: Path) -> dict[date, Head]:
    """Returns the heads that `verify-audit --json` printed into a file. Raises ConfigError."""
    try:
        months = json.loads(file.read_text())["months"]
        return {
            date.fromisoformat(f"{name}-01"): Head(int(month["length"]), str(month["head"]))
            for name, month in months.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} is not what verify-audit --json prints: {error}.") from error


def _as_json(report: LogReport) -> str:
    months = {
        f"{month.month:%Y-%m}": {
            "length": month.length,
            "head": month.head,
            "dropped_at": month.dropped_at and month.dropped_at.isoformat(),
            "fault": month.fault,
        }
        for month in report.months
    }
    whole = {"intact": report.is_intact, "unsealed": report.unsealed, "months": months}
    return json.dumps(whole, indent=2)


def _as_text(report: LogReport) -> str:
    lines = []
    for month in report.months:
        state = "intact"
        if month.fault is not None:
            state = f"BROKEN: {month.fault}"
        elif month.dropped_at is not None:
            state = f"dropped on {month.dropped_at:%Y-%m-%d}"
        lines.append(
            f"{month.month:%Y-%m}  {month.length:>10,} rows  {month.head[:16]:<16}  {state}"
        )
    return "\n".join([*lines, f"not sealed yet: {report.unsealed:,} rows"])
