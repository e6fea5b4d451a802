"""Watching an inbox: each notification once, the number of unread ones, and the end with the session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from uuid import UUID

from dits.auth.v1 import notification_service_pb2 as pb
from dits.auth.v1.session_service_pb2 import LogoutRequest
from grpc import StatusCode

from services.auth.notifications.inbox_watch import InboxMoment, InboxSignal, InboxWatch
from shared.db.listen import Listener
from shared.db.pool import Database
from shared.rpc.call import Caller
from tests.integration.auth.test_notification_service import fill
from tests.support.api import Account, Api, refused
from tests.support.waiting import PATIENCE_SECONDS


class Watcher:
    """A call of Watch."""

    def __init__(self, api: Api, user: Account, cursor: str) -> None:
        self.call = api.notifications.Watch(pb.WatchRequest(cursor=cursor), metadata=user.auth)

    async def next(self) -> pb.WatchResponse:
        """The next message."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return cast(pb.WatchResponse, await self.call.read())


@asynccontextmanager
async def watch_inbox(api: Api, user: Account, cursor: str = "") -> AsyncIterator[Watcher]:
    watcher = Watcher(api, user, cursor)
    try:
        yield watcher
    finally:
        watcher.call.cancel()


async def test_what_comes_is_sent_once_with_the_count(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    before = await fill(api, ada, 2)
    async with watch_inbox(api, ada) as watcher:
        first = await watcher.next()
        assert (first.HasField("notification"), first.unread_count) == (False, 2)
        await fill(api, bob, 1)
        ids = await fill(api, ada, 2)
        told = [await watcher.next() for _ in ids]
        assert [message.notification.id for message in told] == ids
        assert [message.unread_count for message in told] == [4, 4]
        await api.notifications.MarkRead(pb.MarkReadRequest(ids=before), metadata=ada.auth)
        marked = await watcher.next()
        assert (marked.HasField("notification"), marked.unread_count) == (False, 2)
    # Another call goes on behind the first of the two.
    async with watch_inbox(api, ada, told[0].cursor) as watcher:
        assert (await watcher.next()).notification.id == ids[1]
        more = await fill(api, ada, 120)
        assert [(await watcher.next()).notification.id for _ in more] == more


async def test_an_empty_inbox_is_watched(api: Api) -> None:
    ada = await api.account()
    async with watch_inbox(api, ada) as watcher:
        first = await watcher.next()
        assert (first.unread_count, bool(first.cursor)) == (0, True)
        [told] = await fill(api, ada, 1)
        assert (await watcher.next()).notification.id == told
    async with watch_inbox(api, ada, first.cursor) as watcher:
        assert (await watcher.next()).notification.id == told


async def test_foreign_and_lost_cursors_are_refused(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    await fill(api, ada, 3)
    async with watch_inbox(api, ada) as watcher:
        cursor = (await watcher.next()).cursor
    for user, text in ((bob, cursor), (ada, cursor[:-4]), (ada, "x"), (ada, "é")):
        async with watch_inbox(api, user, text) as watcher:
            with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
                await watcher.next()
    await api.fetch("UPDATE inboxes SET last_number = 2")
    async with watch_inbox(api, ada, cursor) as watcher:
        with refused(StatusCode.OUT_OF_RANGE, "CURSOR_TOO_OLD"):
            await watcher.next()


async def test_the_stream_ends_with_the_session(api: Api) -> None:
    ada = await api.account()
    async with watch_inbox(api, ada) as watcher:
        await watcher.next()
        await api.sessions.Logout(LogoutRequest(), metadata=ada.auth)
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            while True:
                await fill(api, ada, 1)
                await watcher.next()


async def test_silence_is_broken_and_lost_hints_are_made_up_for(api: Api) -> None:
    ada = await api.account()
    database = await Database.connect(api.dsn, service="test", size=2)
    signal = InboxSignal(Listener(api.dsn))
    watch = InboxWatch(database, signal, checkpoint_seconds=0.05)
    caller = Caller.of(UUID(str(ada.id)), ada.username, UUID(int=0), None)
    moments = watch.follow_inbox(lambda: caller, None)
    try:
        for _ in range(3):
            assert await anext(moments) == InboxMoment(0, 0, None)
        # Nobody listens, so this is seen at the next sign of life.
        await fill(api, ada, 1)
        while (moment := await anext(moments)).notification is None:
            pass
        assert (moment.number, moment.unread) == (1, 1)
    finally:
        await moments.aclose()
        await database.close()
