"""Turns events into notifications, in the transaction that moves the consumer's cursor.

A user is told once of an event, and once of a commit that mentions them: an event that is taken twice
changes nothing. A user who may no longer read the repository by then is told nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dits.common.v1.event_pb2 import EventType

from services.auth.notifications import audience
from services.auth.notifications.catalog import Draft
from services.auth.notifications.delivery import deliver
from services.auth.notifications.followers import notify_first_followers
from services.auth.notifications.follows import rename_followed
from services.auth.notifications.lock_events import LOCK_EVENTS, compose_lock_draft
from services.auth.notifications.mails import enqueue_mails
from services.auth.notifications.member_events import MEMBER_EVENTS, compose_member_draft
from services.auth.notifications.mentions import compose_mentions
from services.auth.notifications.storage_events import compose_storage_drafts
from services.auth.notifications.webhook_events import compose_webhook_drafts
from shared.db.pool import Connection, Row
from shared.outbox.stored_event import StoredEvent
from shared.runtime.server_key import ServerKey

CONSUMER = "notifications"
# Events within this time are handled together: many pushes cost little more than one.
GATHER_SECONDS = 0.25
HANDLED = (
    LOCK_EVENTS
    | MEMBER_EVENTS
    | {
        EventType.EVENT_TYPE_BRANCH_RENAMED,
        EventType.EVENT_TYPE_PUSH,
        EventType.EVENT_TYPE_REPO_STORAGE_NEARLY_FULL,
        EventType.EVENT_TYPE_WEBHOOK_DISABLED,
    }
)


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
            if event.type == EventType.EVENT_TYPE_BRANCH_RENAMED:
                await rename_followed(connection, event)
                continue
            where = context.where(event)
            if where is not None:
                drafts = await _compose(connection, event, where, context.who(event))
                mailed += await deliver(connection, drafts)
                if event.type == EventType.EVENT_TYPE_PUSH:
                    mailed += await notify_first_followers(connection, event)
        await enqueue_mails(connection, self._key, mailed)


async def _compose(connection: Connection, event: StoredEvent, where: str, who: str) -> list[Draft]:
    """Returns what users are told of an event; followers of branches are told otherwise."""
    if event.type == EventType.EVENT_TYPE_PUSH:
        return await compose_mentions(connection, event, where, who)
    if event.type == EventType.EVENT_TYPE_WEBHOOK_DISABLED:
        return await compose_webhook_drafts(connection, event, where)
    if event.type == EventType.EVENT_TYPE_REPO_STORAGE_NEARLY_FULL:
        return await compose_storage_drafts(connection, event, where)
    if event.type in MEMBER_EVENTS:
        told = await compose_member_draft(connection, event, where, who)
        return [told] if told else []
    # In a thread: to read a thousand locks with long paths takes a tenth of a second and more.
    draft = await asyncio.to_thread(compose_lock_draft, event, where, who)
    return [draft] if draft else []
