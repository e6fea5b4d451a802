"""What a collection would do: how much, whether that is plausible, and when space comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from shared.db import sql
from shared.db.clock import read_clock
from shared.db.pool import Connection, Database

Q = sql.load(__file__)

# Chunks that are looked at while a caller waits, of those that are dead and of those that will be.
PLANNED = 500_000


class Forecast(NamedTuple):
    """Chunks that may go by a time, besides those of the times before: their number and stored bytes."""

    time: datetime
    chunk_count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DeadChunks:
    """What a collection would delete.

    Attributes:
        time: it would delete the chunks whose grace ended before.
        total_count: all chunks of the catalog.
        count: chunks that would go.
        erased_count: those of them that were obliterated: somebody has ordered that they go.
        bytes: their stored bytes.
        pack_count: packs that nothing would be in any more.
        pack_bytes: the bytes of their objects.
        is_partial: there may be more: these are the first ones.
    """

    time: datetime
    total_count: int
    count: int
    erased_count: int
    bytes: int
    pack_count: int
    pack_bytes: int
    is_partial: bool = False

    def is_plausible(self, limit_percent: float, confirmed_count: int = 0) -> bool:
        """Returns whether it may go on: it deletes at most a share of all chunks, or what was confirmed.

        What was obliterated does not count.
        """
        unasked = self.count - self.erased_count
        return unasked <= max(self.total_count * limit_percent / 100, confirmed_count)


@dataclass(frozen=True, slots=True)
class GarbagePlan:
    """A dry run.

    Attributes:
        dead: what would be deleted, or the first PLANNED of it.
        ended_claim_count: claims that would be dropped, up to PLANNED. The chunks of the last ones then
            begin their grace.
        queued_count: objects that wait for their deletion already.
        queued_bytes: their bytes, as far as known.
        queued_until: when the last of them is due; None = there is none.
        forecast: what may be deleted later, day by day, or the first PLANNED of it.
    """

    dead: DeadChunks
    ended_claim_count: int
    queued_count: int
    queued_bytes: int
    queued_until: datetime | None
    forecast: Sequence[Forecast]


async def count_dead_chunks(database: Database) -> DeadChunks:
    """Returns what a collection would delete now. If that is many millions of chunks, it takes minutes."""
    return await database.transaction(partial(_count_dead_chunks, total=None, most=None))


async def count_first_dead_chunks(database: Database, total: int | None) -> DeadChunks:
    """Returns the first PLANNED that a collection would delete now.

    `total`: how many chunks there are; None = count them.
    """
    return await database.transaction(partial(_count_dead_chunks, total=total, most=PLANNED))


async def plan_collection(
    database: Database, lease: timedelta, total: int | None = None
) -> GarbagePlan:
    """Returns what a collection would do now, and changes nothing; `total` as above."""
    return await database.transaction(partial(_plan_collection, lease=lease, total=total))


async def _count_dead_chunks(
    connection: Connection, total: int | None, most: int | None
) -> DeadChunks:
    await connection.execute(Q.allow_time)
    time = await read_clock(connection)
    [dead] = await connection.fetch(Q.count_dead_chunks, time, most)
    count: int = total or await connection.fetchval(Q.count_chunks)
    return DeadChunks(
        time,
        count,
        dead["chunks"],
        dead["erased"],
        dead["bytes"],
        dead["packs"],
        dead["pack_bytes"],
        dead["chunks"] == most,
    )


async def _plan_collection(
    connection: Connection, *, lease: timedelta, total: int | None
) -> GarbagePlan:
    dead = await _count_dead_chunks(connection, total, PLANNED)
    claims: int = await connection.fetchval(Q.count_ended_claims, dead.time - lease, PLANNED)
    [queue] = await connection.fetch(Q.count_queued_objects)
    rows = await connection.fetch(Q.forecast_chunks, dead.time, PLANNED)
    forecast = [Forecast(row["time"], row["chunks"], row["bytes"]) for row in rows]
    return GarbagePlan(dead, claims, queue["count"], queue["bytes"], queue["last"], forecast)
