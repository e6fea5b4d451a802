"""Webhooks in the background: events become deliveries, jobs send them, and old ones go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from dits.common.v1.job_pb2 import (
    DeliverWebhookPayload,
    JobType,
    PurgeWebhookDeliveriesPayload,
    ResumeWebhooksPayload,
)

from services.repo.webhooks import deliveries
from services.repo.webhooks.attempts import find_idle_webhooks
from services.repo.webhooks.jobs import wake_lanes
from services.repo.webhooks.lane import DeliveryLane
from services.repo.webhooks.matching import make_deliveries
from shared.db.pool import Connection, Databases
from shared.jobs.running_job import Handler, RunningJob
from shared.jobs.schedule import Schedule
from shared.outbox.change_signal import ChangeSignal
from shared.outbox.consumer import EventConsumer
from shared.outbox.stored_event import StoredEvent
from shared.runtime.background import BackgroundTask

CONSUMER = "webhooks"
SCHEDULES = (
    Schedule("resume webhooks", "* * * * *", ResumeWebhooksPayload()),
    Schedule("purge webhook deliveries", "40 * * * *", PurgeWebhookDeliveriesPayload()),
)
RESUME_BATCH = 1000
# Events within this time are handled together: many pushes cost little more than one.
GATHER_SECONDS = 0.5


class WebhookWork:
    """The consumer of events and the handlers of jobs that webhooks need."""

    def __init__(self, databases: Databases, signal: ChangeSignal, lane: DeliveryLane) -> None:
        self._consumer = EventConsumer(CONSUMER, databases, handle_events, signal=signal)
        self._lane = lane

    def task(self) -> BackgroundTask:
        """Returns what turns events into deliveries."""
        return replace(self._consumer.task(), pause_seconds=GATHER_SECONDS)

    def jobs(self) -> dict[JobType.ValueType, Handler]:
        """Returns the handlers."""
        return {
            JobType.JOB_TYPE_DELIVER_WEBHOOK: self.deliver_webhook,
            JobType.JOB_TYPE_RESUME_WEBHOOKS: resume_webhooks,
            JobType.JOB_TYPE_PURGE_WEBHOOK_DELIVERIES: deliveries.PURGE.handle,
        }

    async def deliver_webhook(self, job: RunningJob, payload: DeliverWebhookPayload) -> None:
        """Sends what is due for a webhook, and arranges the next job for it."""
        webhook_id = UUID(payload.webhook_id)
        wait = await self._lane.send_due(job.database, webhook_id, job.id)
        if wait is not None:
            await job.database.transaction(
                lambda connection: wake_lanes(connection, [webhook_id], wait)
            )


async def handle_events(connection: Connection, events: Sequence[StoredEvent]) -> None:
    """Makes the deliveries of some events, and has them sent."""
    await wake_lanes(connection, await make_deliveries(connection, events))


async def resume_webhooks(job: RunningJob, _payload: ResumeWebhooksPayload) -> None:
    """Has those deliveries sent whose job is gone: it failed too often, or was cancelled."""

    async def resume(connection: Connection) -> None:
        await wake_lanes(connection, await find_idle_webhooks(connection, RESUME_BATCH))

    await job.database.transaction(resume)
