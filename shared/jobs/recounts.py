"""Recounts of a repository's statistics, as both repo and chunk ask for them."""

from __future__ import annotations

from uuid import UUID

from dits.common.v1.job_pb2 import RecountStatisticsPayload

from shared.db.pool import Connection
from shared.jobs.queue import enqueue_alone


async def request_recount(connection: Connection, repository_id: UUID) -> None:
    """Has a job count what a repository has: the one that waits for that, if there is one."""
    payload = RecountStatisticsPayload(repository_id=str(repository_id))
    await enqueue_alone(connection, payload, repository_id)
