"""Dumps that were restored elsewhere: their outbox has the transaction numbers of another server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrations.files import MigrationError
from migrations.runner import take_turn
from migrations.status import connect

if TYPE_CHECKING:
    from migrations.status import Connection


async def refuse_restored(conn: Connection) -> None:
    """Raise MigrationError while consumers of events would miss all that happens."""
    known = await conn.fetchval("SELECT to_regproc('outbox_is_ahead') IS NOT NULL")
    if known and await conn.fetchval("SELECT outbox_is_ahead()"):
        raise MigrationError(
            "The database was restored from a dump, and its events have numbers of the server that it came"
            " from: run `dits-server migrate`."
        )


async def adopt_restored(dsn: str) -> bool:
    """Give the events of a restored dump numbers that fit this server; return whether that was needed."""
    async with connect(dsn) as conn, conn.transaction():
        await take_turn(conn)
        return bool(await conn.fetchval("SELECT renumber_outbox()"))
