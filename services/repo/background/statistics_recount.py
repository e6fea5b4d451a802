"""The job that counts repositories again and corrects their statistics: all every week, or one.

Pushes add to the statistics in their own transactions. So a recount takes no lock while it counts: one
snapshot shows both the rows and what the statistics say of them. The difference is an error, and is taken
off whatever the statistics say by then. A push waits for that last statement at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from uuid import UUID

import structlog
from dits.common.v1.job_pb2 import JobProgress, RecountStatisticsPayload

from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.jobs.running_job import RunningJob
from shared.jobs.schedule import Schedule

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

SCHEDULE = Schedule("recount statistics", "17 3 * * 0", RecountStatisticsPayload())

BATCH = 1000
# Rows that one statement counts, by what the statistics say; a repository may have more.
STATEMENT_ROWS = 100_000
COUNTERS = (
    "commit_count",
    "branch_count",
    "tag_count",
    "contributor_count",
    "file_count",
    "chunk_count",
    "storage_bytes",
    "logical_bytes",
)
_NOBODY = UUID(int=0)


async def recount_statistics(job: RunningJob, payload: RecountStatisticsPayload) -> JobProgress:
    """Works on a job; returns how many repositories it has counted."""
    if payload.repository_id:
        await recount_some(job.database, [UUID(payload.repository_id)])
        return JobProgress(done=1)
    done, after = 0, _NOBODY
    while rows := await job.database.fetch(Q.next_repositories, after, BATCH, STATEMENT_ROWS):
        for _, group in groupby(rows, itemgetter("number")):
            ids = [row["id"] for row in group]
            await recount_some(job.database, ids)
            done += len(ids)
            await job.report_progress(done)
        after = rows[-1]["id"]
    return JobProgress(done=done)


async def recount_some(database: Database, ids: Sequence[UUID]) -> None:
    """Counts some repositories, and corrects their statistics."""
    await database.statement(Q.add_missing_statistics, ids)
    errors = await database.transaction(partial(find_errors, ids=ids))
    for row in errors:
        wrong = {name: row[name] for name in COUNTERS if row[name]}
        if wrong:
            log.info("statistics corrected", repository=str(row["repo_id"]), errors=wrong)
    await correct_statistics(database, errors)


async def find_errors(connection: Connection, ids: Sequence[UUID]) -> list[Row]:
    """Returns by how much the statistics of some repositories are too low, as of one moment."""
    await connection.execute(Q.allow_time)
    return await connection.fetch(Q.find_errors, ids)


async def correct_statistics(database: Database, errors: Sequence[Row]) -> None:
    """Adds to the statistics what they are too low by, unless another recount has done it since."""
    await database.statement(
        *Q.bind.correct_statistics(
            repository_ids=[row["repo_id"] for row in errors],
            calculated_at=[row["calculated_at"] for row in errors],
            seen_activity=[row["seen_activity"] for row in errors],
            last_activity=[row["last_activity"] for row in errors],
            **{name: [row[name] for row in errors] for name in COUNTERS},
        )
    )
