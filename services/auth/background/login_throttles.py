"""Deletes the counts of attempts that no longer say anything."""

from __future__ import annotations

from shared.db import sql
from shared.jobs.table_purge import BATCH, TablePurge

Q = sql.load(__file__)


def purge_login_throttles(batch: int = BATCH) -> TablePurge:
    """Returns what purges login_throttles, in which strangers can make the server insert rows."""
    return TablePurge(Q.purge_throttles, batch=batch)
