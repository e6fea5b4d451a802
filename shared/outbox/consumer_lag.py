"""How far consumers of events are behind, for the operator.

A consumer that is behind keeps events from being purged, so one that has stopped fills the database.
"""

from __future__ import annotations

import time

import structlog

from shared.db import sql
from shared.db.pool import Databases
from shared.runtime import metrics
from shared.runtime.background import BackgroundTask

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

PAUSE_SECONDS = 60.0
# From here on it is an alarm.
MOST_SECONDS = 15 * 60.0
# How often an alarm is repeated.
ALARM_SECONDS = 15 * 60.0


class ConsumerLag:
    """Measures how old the oldest event is that each consumer has yet to read."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._alarms: dict[str, float] = {}

    def task(self) -> BackgroundTask:
        """Returns what a service runs in the background."""
        return BackgroundTask("measure consumers of events", self.measure_lag, PAUSE_SECONDS)

    async def measure_lag(self) -> dict[str, float]:
        """Returns the lag of each consumer in seconds, the most of all databases.

        It also sets the metrics, and warns of consumers that are too far behind or cannot go on.
        """
        lags: dict[str, float] = {}
        dead: dict[str, int] = {}
        for database in self._databases.every():
            for row in await database.fetch(Q.lags):
                consumer = row["consumer"]
                lags[consumer] = max(lags.get(consumer, 0.0), row["seconds"])
                dead[consumer] = dead.get(consumer, 0) + row["dead_count"]
                if row["is_ahead"] or row["seconds"] > MOST_SECONDS:
                    self._warn(consumer, row["seconds"], is_ahead=row["is_ahead"])
        for consumer, seconds in lags.items():
            metrics.EVENT_LAG_SECONDS.labels(consumer).set(seconds)
            metrics.DEAD_EVENTS.labels(consumer).set(dead[consumer])
        return lags

    def _warn(self, consumer: str, seconds: float, *, is_ahead: bool) -> None:
        now = time.monotonic()
        if now - self._alarms.get(consumer, float("-inf")) < ALARM_SECONDS:
            return
        self._alarms[consumer] = now
        if is_ahead:
            log.error(
                "the cursor of a consumer of events is from another database: nothing reaches it; "
                "run `dits-server migrate`",
                consumer=consumer,
            )
        else:
            log.warning("a consumer of events is behind", consumer=consumer, seconds=round(seconds))
