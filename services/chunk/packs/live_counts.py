"""Subtracts rows that are gone from the packs that they named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

import asyncpg
import structlog

from shared.db import sql
from shared.db.pool import Connection

Q = sql.load(__file__)
log = structlog.get_logger(__name__)


class FreedPacks(NamedTuple):
    """Packs that no row names any more: their number, and the bytes of their objects."""

    packs: int
    bytes: int


class _MiscountedError(Exception):
    """The counter of a pack is lower than the number of rows that have left it."""


async def release_packs(
    connection: Connection, counts: Mapping[str, int], reader_grace: timedelta
) -> FreedPacks:
    """Subtracts `counts` rows from sealed packs, by key; queues the objects of those that no row names now.

    The caller's transaction has deleted or moved these rows, and holds no locks that come after those of
    sealed packs. Objects stay for `reader_grace`. If a counter was wrong, all of them are counted again: an
    old error must not stop what frees space.
    """
    keys = sorted(counts)
    numbers = [counts[key] for key in keys]
    await connection.execute(Q.hold_packs, keys)
    with suppress(_MiscountedError, asyncpg.ForeignKeyViolationError):
        async with connection.transaction():
            return await _subtract(connection, keys, numbers, reader_grace)
    log.error("live counters of packs are wrong", packs=keys)
    return await recount_packs(connection, keys, reader_grace)


async def recount_packs(
    connection: Connection, keys: Sequence[str], reader_grace: timedelta
) -> FreedPacks:
    """Counts the rows that name sealed packs again, and frees those that no row names; locks the packs."""
    await connection.execute(Q.hold_packs, keys)
    await connection.execute(Q.recount_packs, keys)
    [row] = await connection.fetch(Q.drop_empty_packs, keys, reader_grace)
    return FreedPacks(row["packs"], row["bytes"])


async def _subtract(
    connection: Connection, keys: Sequence[str], numbers: Sequence[int], reader_grace: timedelta
) -> FreedPacks:
    [row] = await connection.fetch(Q.drop_emptied_packs, keys, numbers, reader_grace)
    lowered = await connection.fetchval(Q.lower_live_counts, keys, numbers)
    if row["packs"] + lowered != len(keys):
        raise _MiscountedError
    return FreedPacks(row["packs"], row["bytes"])
