"""How long notifications are kept."""

from __future__ import annotations

from datetime import timedelta

from shared.db import sql
from shared.jobs.table_purge import BATCH, TablePurge
from shared.runtime.config import Settings

Q = sql.load(__file__)

# Longer than events are kept, from which they would come again.
UNREAD_KEPT = timedelta(days=365)


def purge_notifications(settings: Settings, batch: int = BATCH) -> TablePurge:
    """Returns what deletes notifications that were read long ago, or not at all for a year."""
    read_kept = timedelta(days=settings.notification_days)
    return TablePurge(Q.purge_notifications, read_kept, UNREAD_KEPT, batch=batch)
