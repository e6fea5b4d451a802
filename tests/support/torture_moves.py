"""Why chunks move in the torture test: nobody reads them, or they are wanted elsewhere."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from dits.common.v1.job_pb2 import CheckPlacementPayload

from shared.db.pool import Database
from tests.support.api import Api
from tests.support.jobs import put, wait_for
from tests.support.regions import wait_while

# How many of the moves have not happened yet: into the archive, into another region, out of one.
NOT_DONE = """
    SELECT 3 - count(DISTINCT what)
    FROM pg_sleep(0.1)
    LEFT JOIN (SELECT 'archived' AS what FROM maintenance_runs
               WHERE kind = 'apply_lifecycle' AND report ? 'moved_chunk_count'
               UNION ALL SELECT 'copied' FROM maintenance_runs WHERE report ? 'copied_chunk_count'
               UNION ALL SELECT 'dropped' FROM maintenance_runs WHERE report ? 'dropped_copy_count') AS done
    ON TRUE"""
# How many jobs may still archive chunks, or look at where chunks were wanted before.
COOLING, PLACING = (
    f"""SELECT count(*) FROM pg_sleep(0.1)
        JOIN jobs ON job_type = '{job_type}' AND status IN ('pending', 'running')"""
    for job_type in ("apply_lifecycle", "check_placement")
)
_REGIONS = ("{far,local}", "{far}", "{local}", "{}")


def list_moves(database: Database) -> dict[str, Callable[[], Awaitable[None]]]:
    """What makes chunks move, by name."""
    rounds = itertools.count()
    return {
        "cool": lambda: make_old(database, next(rounds)),
        "move": lambda: want_elsewhere(database, next(rounds)),
    }


async def make_old(database: Database, round_: int) -> None:
    """Makes a sixteenth of what is referred to old, so that it goes to the archive."""
    await database.statement(
        """UPDATE chunk_refs SET last_seen_at = now() - interval '100 days'
           WHERE chunk_hash LIKE $1 || '%' AND ref_count > 0""",
        f"{round_ % 16:x}",
    )
    await asyncio.sleep(0.1)


async def want_elsewhere(database: Database, round_: int) -> None:
    """Changes where everybody wants chunks: they are copied, homes move, and copies go."""
    query = "UPDATE repository_settings SET regions = $1::text::text[]"
    await database.statement(query, _REGIONS[round_ % len(_REGIONS)])
    await asyncio.sleep(0.5)


async def place_everything(api: Api, database: Database) -> None:
    """Has chunks brought to where they were wanted last: no server was told of it."""
    await wait_while(api, PLACING)
    job_id = await put(database, CheckPlacementPayload())
    await wait_for(database, job_id, "completed")
