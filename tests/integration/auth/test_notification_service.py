"""The inbox: listed, counted, marked, watched, and preferences."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from dits.auth.v1 import notification_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from services.auth.notifications.retention import purge_notifications
from shared.db.pool import Database
from shared.runtime.config import Settings
from tests.support.api import Account, Api, refused

INVALID = (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


async def fill(api: Api, user: Account, count: int, message: str = "") -> list[str]:
    """Notifications of a user, oldest first; their ids."""
    rows = await api.fetch(
        """WITH taken AS (
               INSERT INTO inboxes AS i (user_id, last_number) VALUES ($1, $2)
               ON CONFLICT (user_id) DO UPDATE SET last_number = i.last_number + $2
               RETURNING last_number
           ), told AS (
               INSERT INTO notifications (user_id, number, type, source_id, title, message)
               SELECT $1, t.last_number - $2 + n, 'push', gen_random_uuid(), n::text, $3
               FROM taken t, generate_series(1, $2) n RETURNING id, number, user_id
           )
           SELECT id::text, pg_notify('dits_inbox', user_id::text) FROM told ORDER BY number""",
        user.id,
        count,
        message,
    )
    return [row["id"] for row in rows]


async def unread(api: Api, user: Account) -> int:
    request = pb.GetUnreadCountRequest()
    response = await api.notifications.GetUnreadCount(request, metadata=user.auth)
    return int(response.unread_count)


async def test_notifications_are_listed_in_pages(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    ids = await fill(api, ada, 5)
    await fill(api, bob, 1)
    await api.notifications.MarkRead(pb.MarkReadRequest(ids=ids[1:2]), metadata=ada.auth)
    for unread_only, expected in ((False, ids), (True, [ids[0], *ids[2:]])):
        listed: list[pb.Notification] = []
        request = pb.ListNotificationsRequest(page_size=2, unread_only=unread_only)
        while True:
            page = await api.notifications.ListNotifications(request, metadata=ada.auth)
            listed += page.notifications
            request.page_token = page.next_page_token
            if not request.page_token:
                break
        assert [found.id for found in listed] == expected[::-1]
        assert [found.HasField("read_time") for found in listed] == [
            found.id == ids[1] for found in listed
        ]
    assert listed[0].type == pb.NOTIFICATION_TYPE_PUSH
    page = await api.notifications.ListNotifications(
        pb.ListNotificationsRequest(page_size=2), metadata=ada.auth
    )
    request = pb.ListNotificationsRequest(page_token=page.next_page_token)
    for user, only in ((bob, False), (ada, True)):
        request.unread_only = only
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
            await api.notifications.ListNotifications(request, metadata=user.auth)


async def test_a_page_of_long_messages_is_shorter(api: Api) -> None:
    ada = await api.account()
    ids = await fill(api, ada, 400, "é" * 6_000)
    request = pb.ListNotificationsRequest(page_size=1000)
    first = await api.notifications.ListNotifications(request, metadata=ada.auth)
    assert 0 < len(first.notifications) < 400
    assert first.ByteSize() < 4 << 20
    request.page_token = first.next_page_token
    second = await api.notifications.ListNotifications(request, metadata=ada.auth)
    listed = [found.id for found in (*first.notifications, *second.notifications)]
    assert listed == ids[::-1]
    assert not second.next_page_token


async def test_notifications_are_marked_as_read(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    ids = await fill(api, ada, 4)
    [theirs] = await fill(api, bob, 1)
    assert await unread(api, ada) == 4
    marked = await api.notifications.MarkRead(
        pb.MarkReadRequest(ids=[ids[0], ids[0]]), metadata=ada.auth
    )
    assert marked.unread_count == 3
    read_at = "SELECT read_at FROM notifications WHERE id = $1::uuid"
    when = await api.value(read_at, ids[0])
    await api.notifications.MarkRead(pb.MarkReadRequest(ids=ids[:1]), metadata=ada.auth)
    assert await api.value(read_at, ids[0]) == when
    for strange in (theirs, str(uuid4())):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await api.notifications.MarkRead(
                pb.MarkReadRequest(ids=[ids[1], strange]), metadata=ada.auth
            )
    assert (await unread(api, ada), await unread(api, bob)) == (3, 1)
    second = await api.value("SELECT created_at FROM notifications WHERE id = $1::uuid", ids[1])
    until = Timestamp()
    until.FromDatetime(second)
    for request, left in ((pb.MarkAllReadRequest(until=until), 2), (pb.MarkAllReadRequest(), 0)):
        all_marked = await api.notifications.MarkAllRead(request, metadata=ada.auth)
        assert (all_marked.unread_count, await unread(api, bob)) == (left, 1)


async def test_a_very_full_inbox_is_counted_and_emptied(api: Api) -> None:
    ada = await api.account()
    await fill(api, ada, 20_001)
    assert await unread(api, ada) == 1_000
    marked = await api.notifications.MarkAllRead(pb.MarkAllReadRequest(), metadata=ada.auth)
    assert marked.unread_count == 0
    assert await api.value("SELECT count(*) FROM notifications WHERE NOT read") == 0


@pytest.mark.parametrize(
    "ids", [[], ["x"], [""], ["1" * 36]], ids=["none", "text", "empty", "digits"]
)
async def test_bad_ids_are_refused(api: Api, ids: list[str]) -> None:
    ada = await api.account()
    with refused(*INVALID):
        await api.notifications.MarkRead(pb.MarkReadRequest(ids=ids), metadata=ada.auth)


async def test_other_bad_input_is_refused(api: Api) -> None:
    ada = await api.account()
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await api.notifications.MarkRead(
            pb.MarkReadRequest(ids=[str(uuid4())] * 1001), metadata=ada.auth
        )
    with refused(*INVALID):
        until = Timestamp(seconds=10**15)
        await api.notifications.MarkAllRead(pb.MarkAllReadRequest(until=until), metadata=ada.auth)
    with refused(*INVALID):
        await api.notifications.ListNotifications(
            pb.ListNotificationsRequest(page_size=-1), metadata=ada.auth
        )
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.notifications.GetUnreadCount(pb.GetUnreadCountRequest())
    reader = await api.api_token(ada, "user:read")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await api.notifications.MarkAllRead(pb.MarkAllReadRequest(), metadata=reader.auth)
    assert await unread(api, reader) == 0


async def change(
    api: Api, user: Account, preferences: pb.Preferences, *paths: str
) -> pb.Preferences:
    """UpdatePreferences."""
    request = pb.UpdatePreferencesRequest(
        preferences=preferences, update_mask=FieldMask(paths=paths)
    )
    response = await api.notifications.UpdatePreferences(request, metadata=user.auth)
    changed: pb.Preferences = response.preferences
    return changed


async def test_preferences_change_by_their_mask(api: Api) -> None:
    ada = await api.account()
    found = await api.notifications.GetPreferences(pb.GetPreferencesRequest(), metadata=ada.auth)
    expected = pb.Preferences(
        email_on_mention=True,
        email_on_push=False,
        email_on_lock_expiry=True,
        email_on_lock_loss=True,
        email_on_webhook_disabled=True,
        email_on_security=True,
        digest=pb.DIGEST_DAILY,
    )
    assert found.preferences == expected
    for field in pb.Preferences.DESCRIPTOR.fields:
        value = pb.DIGEST_WEEKLY if field.name == "digest" else not getattr(expected, field.name)
        setattr(expected, field.name, value)
        sent = pb.Preferences()
        setattr(sent, field.name, value)
        assert await change(api, ada, sent, field.name) == expected
    sent = pb.Preferences(digest=pb.DIGEST_NEVER)
    assert await change(api, ada, sent, "*") == sent
    found = await api.notifications.GetPreferences(pb.GetPreferencesRequest(), metadata=ada.auth)
    assert found.preferences == sent


@pytest.mark.parametrize(
    ("paths", "digest"),
    [
        ([], pb.DIGEST_DAILY),
        (["digests"], pb.DIGEST_DAILY),
        (["*", "digest"], pb.DIGEST_DAILY),
        (["preferences.digest"], pb.DIGEST_DAILY),
        (["digest"], pb.DIGEST_UNSPECIFIED),
        (["digest"], 7),
    ],
)
async def test_bad_preferences_are_refused(
    api: Api, paths: list[str], digest: pb.Digest.ValueType
) -> None:
    ada = await api.account()
    with refused(*INVALID):
        await change(api, ada, pb.Preferences(digest=digest), *paths)


async def test_old_notifications_are_deleted(api: Api) -> None:
    ada = await api.account()
    ids = [UUID(text) for text in await fill(api, ada, 6)]
    await api.fetch(
        """UPDATE notifications SET read = number > 3,
               read_at = CASE WHEN number > 3 THEN now() - number * interval '20 days' END,
               created_at = now() - number * interval '150 days'"""
    )
    database = await Database.connect(api.dsn, service="test", size=1)
    purge = purge_notifications(Settings(notification_days=110), batch=1)
    counts = [count async for count in purge.delete_batches(database)]
    await database.close()
    assert counts == [1, 1, 0]
    left = await api.fetch("SELECT id FROM notifications ORDER BY number")
    assert [row["id"] for row in left] == [*ids[:2], *ids[3:5]]
