"""Whose database it is: of one cell, and of servers that open what each of them seals.

The first server that begins is noted; the others have to be like it.
"""

from __future__ import annotations

from functools import partial

from shared.db import sql
from shared.db.pool import Connection, Database
from shared.runtime.config import ConfigError
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


async def join_deployment(database: Database, cell: int, key: ServerKey) -> None:
    """Notes the cell and the key, the one that begins last while keys are changed.

    Raises ConfigError if the servers of the database are of another cell, or have another key, which this
    one does not accept.
    """
    [row] = await database.fetch(Q.find_deployment)
    if (row["cell"], row["key_id"]) != (cell, key.id):
        await database.transaction(partial(_join, cell=cell, key=key))


async def require_cell(database: Database, cell: int) -> None:
    """Raises ConfigError if the servers of the database are of another cell."""
    [row] = await database.fetch(Q.find_deployment)
    _refuse_cell(row["cell"], cell)


async def require_key(database: Database, key: ServerKey) -> None:
    """Raises ConfigError if the servers of the database have a key that this one does not accept."""
    [row] = await database.fetch(Q.find_deployment)
    _refuse_key(row["key_id"], key)


async def note_key(connection: Connection, key: ServerKey) -> None:
    """Makes a key that of the servers, whichever they have."""
    await connection.execute(Q.note_key, key.id)


async def _join(connection: Connection, cell: int, key: ServerKey) -> None:
    [row] = await connection.fetch(Q.hold_deployment)
    _refuse_cell(row["cell"], cell)
    _refuse_key(row["key_id"], key)
    await connection.execute(Q.note_cell, cell)
    await connection.execute(Q.note_key, key.id)


def _refuse_cell(noted: int | None, cell: int) -> None:
    if noted not in (None, cell):
        raise ConfigError(
            f"The database is that of cell {noted}, and the settings say cell {cell}: set DITS_CELL, or "
            "DITS_DATABASE_URL to the database of this cell."
        )


def _refuse_key(noted: bytes | None, key: ServerKey) -> None:
    if noted is not None and not key.knows(noted):
        theirs, ours = noted.hex(), key.id.hex()
        raise ConfigError(
            f"The servers of the database seal with the key {theirs}, and this one has {ours}, which does "
            "not open that. Give it their key, as DITS_SERVER_KEY or in the data folder; while keys are "
            "changed, one of the two as DITS_ACCEPTED_SERVER_KEY. If theirs is lost for good: "
            "`dits-server admin rotate-server-key --lost`."
        )
