"""Secrets that tables keep sealed: sealed anew when the server's key has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from shared.db.pool import Connection, Database, Row
from shared.runtime.server_key import ServerKey

log = structlog.get_logger(__name__)

BATCH = 500


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed secrets.

    Attributes:
        name: `table.column`.
        list_stale: query for `id` and `sealed` of up to $3 rows after the id $1 whose seal does not begin
            with $2; it locks them.
        replace: query that gives the row $1 the seal $2.
        context: what binds the seal to its row.
    """

    name: str
    list_stale: str
    replace: str
    context: Callable[[UUID], bytes]


@dataclass(frozen=True, slots=True)
class ResealCount:
    """How many secrets were sealed anew, and how many no key opens."""

    resealed: int
    unreadable: int


async def report_other_keys(database: Database, key: ServerKey, count_by_key: str) -> None:
    """Logs an error for each key that has sealed secrets and that this server does not have.

    `count_by_key`: query for `key_id` and the number of its `secrets`.
    """
    for row in await database.fetch(count_by_key):
        if not key.knows(row["key_id"]):
            log.error(
                "secrets are sealed with a key that this server does not have",
                secrets=row["secrets"],
                sealed_with=row["key_id"].hex(),
                key=key.id.hex(),
            )


async def reseal(database: Database, key: ServerKey, column: SealedColumn) -> ResealCount:
    """Seals with the key what only the accepted key has sealed.

    Each batch is a transaction of its own: after a crash, a repetition goes on where it ended.
    """
    resealed = unreadable = 0
    after: UUID | None = None
    while True:
        rows, lost = await _reseal_batch(database, key, column, after)
        if not rows:
            return ResealCount(resealed, unreadable)
        resealed += len(rows) - lost
        unreadable += lost
        after = rows[-1]["id"]


async def _reseal_batch(
    database: Database, key: ServerKey, column: SealedColumn, after: UUID | None
) -> tuple[list[Row], int]:
    """Returns the rows of a batch, and how many of them no key opens."""

    async def work(connection: Connection) -> tuple[list[Row], int]:
        rows = await connection.fetch(column.list_stale, after, key.id, BATCH)
        lost = 0
        for row in rows:
            plain = key.unseal(row["sealed"], column.context(row["id"]))
            if plain is None:
                lost += 1
                continue
            sealed = key.seal(plain, column.context(row["id"]))
            await connection.execute(column.replace, row["id"], sealed)
        return rows, lost

    return await database.transaction(work)
