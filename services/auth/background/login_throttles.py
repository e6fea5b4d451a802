"""Deletes the counts of attempts that no longer say anything."""

from __future__ import annotations

from dits.common.v1.job_pb2 import PurgeLoginThrottlesPayload

from shared.db import sql
from shared.jobs.schedule import Schedule
from shared.jobs.table_purge import BATCH, TablePurge

Q = sql.load(__file__)

SCHEDULE = Schedule("purge login throttles", "*/15 * * * *", PurgeLoginThrottlesPayload())


def purge_login_throttles(batch: int = BATCH) -> TablePurge:
    """Returns what purges login_throttles, in which strangers can make the server insert rows."""
    return TablePurge(Q.purge_throttles, batch=batch)
