"""Asks for jobs that send what is due for webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from dits.common.v1.job_pb2 import DeliverWebhookPayload

from shared.db.pool import Connection
from shared.jobs.queue import enqueue_keyed


async def wake_lanes(
    connection: Connection, webhook_ids: Sequence[UUID], delay: timedelta = timedelta(0)
) -> None:
    """Has what is due for webhooks sent `delay` after the caller's transaction, or earlier."""
    payloads = {
        str(webhook_id): DeliverWebhookPayload(webhook_id=str(webhook_id))
        for webhook_id in sorted(webhook_ids)
    }
    await enqueue_keyed(connection, payloads, delay=delay)
