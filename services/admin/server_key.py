"""`dits-server admin rotate-server-key` and `reset-mfa`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from services.admin.accounts import load_key
from services.auth.credentials.sealed_secrets import SEALED_COLUMNS as AUTH_COLUMNS
from services.auth.credentials.second_factors import reset_second_factor
from services.repo.webhooks.sealed_secrets import SEALED_COLUMNS as WEBHOOK_COLUMNS
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.records.audit import AuditAction, audit
from shared.records.deployment import note_key, require_key
from shared.records.sealed_columns import reseal
from shared.runtime.config import ConfigError
from shared.runtime.server_key import ServerKey, make_new_key

Q = sql.load(__file__)

COLUMNS = (*AUTH_COLUMNS, *WEBHOOK_COLUMNS)


def add_key_commands(commands: Any, add_settings: Callable[[Any], None]) -> None:
    """Adds the commands to those of a parser; each sets `work`, for a database."""
    about = "Seal anew, with the server's key, what the accepted key has sealed."
    rotate = commands.add_parser("rotate-server-key", help=about, description=about)
    rotate.add_argument(
        "--new",
        action="store_true",
        help="instead make a new key in data_dir, and keep the old one as the accepted one",
    )
    about = "the key of before is lost for good: what it has sealed stays unreadable"
    rotate.add_argument("--lost", action="store_true", help=about)
    rotate.set_defaults(work=_rotate)
    about = "Take the second factor of an account away, for who has lost it and the recovery codes."
    reset = commands.add_parser("reset-mfa", help=about, description=about)
    reset.add_argument("username")
    reset.set_defaults(work=_reset)
    for command in (rotate, reset):
        add_settings(command)


async def rotate_secrets(
    database: Database, key: ServerKey, *, is_lost: bool = False
) -> Sequence[str]:
    """Seals all secrets with the key, and returns what was done; writes an audit row.

    `is_lost`: the key of before is; else ConfigError is raised if the key does not accept it.
    """
    if not is_lost:
        await require_key(database, key)
    counts = [(column.name, await reseal(database, key, column)) for column in COLUMNS]

    async def record(connection: Connection) -> None:
        await note_key(connection, key)
        database_id = await connection.fetchval(Q.database_id)
        await audit(
            connection, None, AuditAction.SERVER_KEY_ROTATED, "server_key", database_id,
            key.id.hex(), resealed=sum(count.resealed for _, count in counts),
            unreadable=sum(count.unreadable for _, count in counts),
        )  # fmt: skip

    await database.transaction(record)
    lines = [f"{name}: {count.resealed} sealed anew" for name, count in counts]
    lost = [f"{name}: no key opens {c.unreadable}" for name, c in counts if c.unreadable]
    return [*lines, *lost, f"The key is {key.id.hex()}."]


async def _rotate(database: Database, arguments: Any) -> Sequence[str]:
    settings = arguments.settings
    if not arguments.new:
        key = ServerKey.load(settings.server_key, settings.data_dir, settings.accepted_server_key)
        return await rotate_secrets(database, key, is_lost=arguments.lost)
    if settings.server_key is not None:
        raise ConfigError(
            "The key is set by DITS_SERVER_KEY: set a new one there, and the old one as "
            "DITS_ACCEPTED_SERVER_KEY."
        )
    make_new_key(settings.data_dir)
    return ["Made. Restart all services now, so that they know it; then run this without --new."]


async def _reset(database: Database, arguments: Any) -> Sequence[str]:
    key = await load_key(database, arguments.settings)
    had_one = await reset_second_factor(database, key, arguments.username)
    if not had_one:
        return [f"{arguments.username} has no second factor."]
    return [f"The password alone opens {arguments.username} now."]
