"""The job that judges signatures again: of a key that was added or deleted, and every night all of them."""

from __future__ import annotations

from collections.abc import Sequence

from dits.common.v1.event_pb2 import EventType, KeyPayload
from dits.common.v1.job_pb2 import JobProgress, ReverifySignaturesPayload
from google.protobuf import json_format

from services.repo.history.signatures import SignatureReview
from shared.db.pool import Connection, Databases
from shared.jobs.queue import enqueue_keyed
from shared.jobs.running_job import RunningJob
from shared.jobs.schedule import Schedule
from shared.outbox.change_signal import ChangeSignal
from shared.outbox.consumer import EventConsumer
from shared.outbox.stored_event import StoredEvent

CONSUMER = "signatures"
# Most events are no keys': they are passed over together.
GATHER_SECONDS = 0.5
# What changes without an event is found, too.
SCHEDULE = Schedule("reverify signatures", "50 2 * * *", ReverifySignaturesPayload())
KEY_EVENTS = frozenset(
    {
        EventType.EVENT_TYPE_KEY_ADDED,
        EventType.EVENT_TYPE_KEY_DELETED,
        EventType.EVENT_TYPE_KEY_OWNER_CHANGED,
    }
)


def make_consumer(databases: Databases, signal: ChangeSignal) -> EventConsumer:
    """Returns what reads the events of keys."""
    return EventConsumer(
        CONSUMER, databases, queue_reviews, signal=signal, gather_seconds=GATHER_SECONDS
    )


async def queue_reviews(connection: Connection, events: Sequence[StoredEvent]) -> None:
    """Has the signatures of keys judged again that were added or deleted, or whose owner changed."""
    keys = {
        json_format.Parse(event.payload, KeyPayload(), ignore_unknown_fields=True).fingerprint
        for event in events
        if event.type in KEY_EVENTS
    }
    payloads = {key: ReverifySignaturesPayload(key_fingerprint=key) for key in sorted(keys)}
    await enqueue_keyed(connection, payloads)


async def reverify_signatures(job: RunningJob, payload: ReverifySignaturesPayload) -> JobProgress:
    """Works on a job; returns how many signatures it has judged."""
    review, done = SignatureReview(job.database, payload.key_fingerprint or None), 0
    while judged := await review.judge_next():
        done += judged
        await job.report_progress(done)
    return JobProgress(done=done)
