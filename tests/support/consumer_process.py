"""A consumer of events in a process of its own, which may kill itself: `consumer_process DSN [POINT]`.

POINT is `begin`, `end` or `commit`: at the first event, after the row for it was written, or at a random
moment around the commit of some batch. At `freeze`, it stops where `end` kills, until it is continued.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence

from shared.db.pool import Connection, Database, Databases
from shared.outbox.consumer import EventConsumer
from shared.outbox.stored_event import StoredEvent

COMMIT_SECONDS = 0.004


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Fragile:
    """Writes a row for each event, and dies where it is told to."""

    def __init__(self, point: str) -> None:
        self._point = point

    async def handle(self, connection: Connection, events: Sequence[StoredEvent]) -> None:
        """Writes down the events."""
        if self._point == "begin":
            _kill()
        ids = [event.position.event_id for event in events]
        await connection.execute("INSERT INTO seen SELECT unnest($1::bigint[])", ids)
        if self._point == "end":
            _kill()
        if self._point == "freeze":
            self._point = ""
            os.kill(os.getpid(), signal.SIGSTOP)
        if self._point == "commit" and random.random() < 0.2:
            asyncio.get_running_loop().call_later(random.uniform(0, COMMIT_SECONDS), _kill)


async def consume(dsn: str, point: str) -> None:
    """Consumes events until the process is killed."""
    databases = Databases(await Database.connect(dsn, service="test", size=2))
    await EventConsumer("c", databases, Fragile(point).handle, batch=5).task().run()


if __name__ == "__main__":
    asyncio.run(consume(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
