"""A push that is refused for want of copies has them made: the region may have just come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import structlog
from dits.common.v1.error_reason_pb2 import ErrorReason
from dits.common.v1.job_pb2 import ReplicateChunksPayload

from shared.db.pool import UNREACHABLE, Connection, Database
from shared.errors import DomainError
from shared.jobs.queue import enqueue

log = structlog.get_logger(__name__)

# Clients ask again every five seconds, and give up two minutes after the last copy was made.
DELAY = timedelta(seconds=10)


@asynccontextmanager
async def requested_copies(database: Database) -> AsyncIterator[None]:
    """Around a push: asks for what is due, at most once in DELAY, if it is refused for want of copies."""
    try:
        yield
    except DomainError as error:
        if error.reason == ErrorReason.ERROR_REASON_REGIONS_MISSING:
            await _request(database)
        raise


async def _request(database: Database) -> None:
    async def work(connection: Connection) -> None:
        # The key is that of the chunk service's own requests.
        payload = ReplicateChunksPayload()
        await enqueue(connection, payload, delay=DELAY, dedup_key="replicate")

    try:
        await database.transaction(work)
    except (*UNREACHABLE, asyncpg.PostgresError, DomainError) as error:
        log.warning("copies are left to the schedule", cause=repr(error))
