"""Webhooks in the background: events become deliveries, jobs send them, and old ones go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from dits.common.v1.job_pb2 import (
    DeliverWebhookPayload,
    JobType,
    PurgeWebhookDeliveriesPayload,
    ResumeWebhooksPayload,
)

from services.repo.webhooks import deliveries
from services.repo.webhooks.attempts import find_idle_webhooks, find_owner
from services.repo.webhooks.jobs import wake_lanes
from services.repo.webhooks.lane import DeliveryLane
from services.repo.webhooks.matching import make_deliveries
from services.repo.webhooks.owner_shares import OwnerShares
from services.repo.webhooks.pacing import Pacing
from shared.db.pool import Connection, Database, Databases
from shared.jobs.catalog import QUEUES
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
_AT_ONCE = timedelta(0)
# Events within this time are handled together: many pushes cost little more than one.
GATHER_SECONDS = 0.5
# How often it is looked, before deliveries are made, whether callers use the database; how long that holds.
LOOK_SECONDS = 0.25
USE_SECONDS = 1.0


class FanOut:
    """Makes deliveries of events: while callers use the database, no faster than lanes send them.

    Attributes:
        consumer: reads the events.
    """

    def __init__(
        self,
        databases: Databases,
        signal: ChangeSignal | None = None,
        *,
        name: str = CONSUMER,
        pacing: Pacing | None = None,
    ) -> None:
        self.consumer = EventConsumer(
            name,
            databases,
            self._handle_events,
            signal=signal,
            gather_seconds=GATHER_SECONDS,
            turn=self._take_turn,
        )
        self._pacing = pacing or Pacing(look_seconds=LOOK_SECONDS, use_seconds=USE_SECONDS)

    async def _take_turn(self, database: Database) -> None:
        """Waits until as many requests may have begun as deliveries were made last."""
        async with self._pacing.turn(database):
            return

    async def _handle_events(self, connection: Connection, events: Sequence[StoredEvent]) -> None:
        """Makes the deliveries of some events, and has them sent."""
        webhooks, fresh = await make_deliveries(connection, events)
        await wake_lanes(connection, webhooks)
        self._pacing.charge(fresh)


class WebhookWork:
    """The consumer of events and the handlers of jobs that webhooks need."""

    def __init__(self, databases: Databases, signal: ChangeSignal, lane: DeliveryLane) -> None:
        self._fan_out = FanOut(databases, signal)
        self._lane = lane
        self._shares = OwnerShares(QUEUES["webhooks"].slots)

    def task(self) -> BackgroundTask:
        """Returns what turns events into deliveries."""
        return self._fan_out.consumer.task()

    def jobs(self) -> dict[JobType.ValueType, Handler]:
        """Returns the handlers."""
        return {
            JobType.JOB_TYPE_DELIVER_WEBHOOK: self.deliver_webhook,
            JobType.JOB_TYPE_RESUME_WEBHOOKS: resume_webhooks,
            JobType.JOB_TYPE_PURGE_WEBHOOK_DELIVERIES: deliveries.PURGE.handle,
        }

    async def deliver_webhook(self, job: RunningJob, payload: DeliverWebhookPayload) -> None:
        """Sends what is due for a webhook, and arranges the next job for it, and for one that waits."""
        webhook_id = UUID(payload.webhook_id)
        if self._lane.is_looked_after(webhook_id):
            return
        owner_id = await find_owner(job.database, webhook_id)
        if owner_id is None:
            return
        following: UUID | None = None
        wait: timedelta | None
        if self._shares.take(owner_id, webhook_id):
            try:
                wait = await self._lane.send_due(job.database, webhook_id, job.id)
            finally:
                following = self._shares.give_back(owner_id)
        else:
            wait = self._shares.put_off(owner_id, webhook_id)
        if wait is not None or following is not None:
            await job.database.transaction(partial(_wake, {webhook_id: wait, following: _AT_ONCE}))


async def _wake(waits: Mapping[UUID | None, timedelta | None], connection: Connection) -> None:
    for webhook_id, wait in waits.items():
        if webhook_id is not None and wait is not None:
            await wake_lanes(connection, [webhook_id], wait)


async def resume_webhooks(job: RunningJob, _payload: ResumeWebhooksPayload) -> None:
    """Has those deliveries sent whose job is gone: it failed too often, or was cancelled."""

    async def resume(connection: Connection) -> None:
        await wake_lanes(connection, await find_idle_webhooks(connection, RESUME_BATCH))

    await job.database.transaction(resume)
