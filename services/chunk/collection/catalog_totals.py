"""What the catalog holds in all: counted at once where it is small, else by the collection."""

from __future__ import annotations

from datetime import datetime

from dits.chunk.v1.maintenance_run_pb2 import CatalogTotals
from google.protobuf import json_format

from shared.db import sql
from shared.db.pool import Connection, Database, Row

Q = sql.load(__file__)

# Chunks that are counted while a caller waits: a second's work.
_COUNTED_AT_ONCE = 1_000_000


async def count_totals(database: Database) -> CatalogTotals:
    """Counts what the catalog holds; that takes minutes for hundreds of millions of chunks."""

    async def count(connection: Connection) -> Row:
        await connection.execute(Q.allow_time)
        [row] = await connection.fetch(Q.count_totals)
        return row

    return _parse(await database.transaction(count))


async def read_totals(database: Database) -> CatalogTotals:
    """Returns what the catalog holds; of a large one, as the last collection has counted it."""
    if counted := await read_large_totals(database):
        return counted
    [row] = await database.fetch(Q.count_totals)
    return _parse(row)


async def read_large_totals(database: Database) -> CatalogTotals | None:
    """Returns what the last collection has counted, if that is too much to be counted at once."""
    row = await database.fetchrow(Q.last_totals)
    if row is None:
        return None
    counted = json_format.Parse(row["totals"], CatalogTotals(), ignore_unknown_fields=True)
    return counted if counted.chunk_count > _COUNTED_AT_ONCE else None


def _parse(row: Row) -> CatalogTotals:
    columns = dict(row)
    time: datetime = columns.pop("time")
    totals = CatalogTotals(**columns)
    totals.count_time.FromDatetime(time)
    return totals
