"""What the tests of notifications share: inboxes that have caught up with the events, and calls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dits.auth.v1 import notification_service_pb2 as pb

from tests.support.api import Account, Api
from tests.support.waiting import PATIENCE_SECONDS

BEGUN = "SELECT EXISTS (SELECT FROM event_cursors WHERE consumer = 'notifications')"
CAUGHT_UP = """SELECT (SELECT count(*) FROM settled_events) = (SELECT count(*) FROM events)
    AND NOT EXISTS (SELECT FROM events e JOIN event_cursors c ON c.consumer = 'notifications'
                    WHERE (e.xid, e.id) > (c.xid, c.id))
    AND NOT EXISTS (SELECT FROM jobs WHERE job_type = 'notify_followers'
                    AND status IN ('pending', 'running'))"""


async def until(api: Api, question: str) -> None:
    """Returns when the database answers yes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await api.value(question):
            pass


async def list_told(api: Api, user: Account) -> Sequence[tuple[str, str]]:
    """Type and title of a user's notifications, oldest first, once all events have been handled."""
    await until(api, CAUGHT_UP)
    rows = await api.fetch(
        "SELECT type, title FROM notifications WHERE user_id = $1 ORDER BY number", user.id
    )
    return [(row["type"], row["title"]) for row in rows]


async def list_inbox(api: Api, user: Account, **fields: object) -> list[pb.Notification]:
    """ListNotifications, once all events have been handled."""
    await until(api, CAUGHT_UP)
    request = pb.ListNotificationsRequest(**fields)  # type: ignore[arg-type]
    response = await api.notifications.ListNotifications(request, metadata=user.auth)
    return list(response.notifications)
