"""The consumer of notifications in a process of its own, which kills itself around commits."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence

from services.auth.notifications.consumer import CONSUMER, NotificationConsumer
from shared.db.pool import Connection, Database, Databases
from shared.outbox.consumer import EventConsumer
from shared.outbox.stored_event import StoredEvent
from shared.runtime.server_key import ServerKey

COMMIT_SECONDS = 0.004


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def consume(dsn: str, rng: random.Random) -> None:
    """Consumes events, a few at a time, until the process is killed."""
    consumer = NotificationConsumer(ServerKey(b"k" * 32))

    async def handle(connection: Connection, events: Sequence[StoredEvent]) -> None:
        await consumer.handle(connection, events)
        if rng.random() < 0.3:
            _kill()
        if rng.random() < 0.3:
            asyncio.get_running_loop().call_later(rng.uniform(0, COMMIT_SECONDS), _kill)

    databases = Databases(await Database.connect(dsn, service="test", size=2))
    await EventConsumer(CONSUMER, databases, handle, batch=5).task().run()


if __name__ == "__main__":
    asyncio.run(consume(sys.argv[1], random.Random(sys.argv[2])))
