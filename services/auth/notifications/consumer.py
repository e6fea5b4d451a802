"""Turns events into notifications, in the transaction that moves the consumer's cursor.

A user is told once of an event, and once of a commit that mentions them: an event that is taken twice
changes nothing. A user who may no longer read the repository by then is told nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from dits.common.v1.event_pb2 import EventType

from services.auth.notifications import audience
from services.auth.notifications.catalog import Draft
from services.auth.notifications.inbox import insert_notifications
from services.auth.notifications.lock_events import LOCK_EVENTS, compose_lock_draft
from services.auth.notifications.mails import choose_mailed, enqueue_mails
from services.auth.notifications.push_events import compose_push_drafts
from services.auth.notifications.webhook_events import compose_webhook_drafts
from shared.db.pool import Connection, Row
from shared.outbox.stored_event import StoredEvent
from shared.runtime.server_key import ServerKey

CONSUMER = "notifications"
HANDLED = LOCK_EVENTS | {EventType.EVENT_TYPE_PUSH, EventType.EVENT_TYPE_WEBHOOK_DISABLED}


class NotificationConsumer:
    """What the consumer does with events. Mails that go out at once are jobs of the same transaction."""

    def __init__(self, key: ServerKey) -> None:
        self._key = key

    async def handle(self, connection: Connection, events: Sequence[StoredEvent]) -> None:
        """Puts what some events tell into the inboxes of those whom it concerns."""
        events = [event for event in events if event.type in HANDLED]
        if not events:
            return
        context = await audience.read_context(connection, events)
        mailed: list[Row] = []
        for event in events:
            where = context.where(event)
            if where is None:
                continue
            async with aclosing(_compose(connection, event, where, context.who(event))) as parts:
                async for drafts in parts:
                    mailed += await _deliver(connection, drafts)
        await enqueue_mails(connection, self._key, mailed)


async def _deliver(connection: Connection, drafts: Sequence[Draft]) -> list[Row]:
    """Puts drafts into the inboxes of those who may read them; returns what is mailed at once."""
    readers = await audience.keep_readers(connection, drafts) if drafts else []
    inserted = await insert_notifications(connection, readers) if readers else []
    return await choose_mailed(connection, inserted) if inserted else []


async def _compose(
    connection: Connection, event: StoredEvent, where: str, who: str
) -> AsyncGenerator[list[Draft], None]:
    """Yields what users are told of an event, some of them at a time."""
    if event.type == EventType.EVENT_TYPE_PUSH:
        async with aclosing(compose_push_drafts(connection, event, where, who)) as parts:
            async for drafts in parts:
                yield drafts
    elif event.type == EventType.EVENT_TYPE_WEBHOOK_DISABLED:
        yield await compose_webhook_drafts(connection, event, where)
    elif draft := compose_lock_draft(event, where, who):
        yield [draft]
