"""Puts notifications into the inboxes of those who may know."""

from __future__ import annotations

from collections.abc import Sequence

from services.auth.notifications.audience import keep_readers
from services.auth.notifications.catalog import Draft
from services.auth.notifications.inbox import insert_notifications
from services.auth.notifications.mails import choose_mailed, enqueue_mails
from shared.db.pool import Connection, Row
from shared.runtime.server_key import ServerKey


async def deliver(connection: Connection, drafts: Sequence[Draft]) -> list[Row]:
    """Puts drafts into the inboxes of those who may read the repository; returns what is mailed at once."""
    readers = await keep_readers(connection, drafts) if drafts else []
    inserted = await insert_notifications(connection, readers) if readers else []
    return await choose_mailed(connection, inserted) if inserted else []


async def notify_owner(connection: Connection, key: ServerKey, draft: Draft) -> None:
    """Tells a user of what happens in the caller's transaction; the mail, if one is due, is a job of it."""
    await enqueue_mails(connection, key, await deliver(connection, [draft]))
