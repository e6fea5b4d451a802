"""Calls of Watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from dits.common.v1.event_pb2 import EventType
from dits.lock.v1 import lock_service_pb2 as pb

from tests.support.api import Account
from tests.support.locks import Studio
from tests.support.waiting import PATIENCE_SECONDS


class Watcher:
    """A call of Watch."""

    def __init__(self, studio: Studio, user: Account, cursor: str) -> None:
        request = pb.WatchRequest(repository=studio.repo.id, cursor=cursor)
        self.call = studio.api.locks.Watch(request, metadata=user.auth)
        self.cursor = cursor

    async def next(self) -> pb.WatchResponse:
        """The next message."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = cast(pb.WatchResponse, await self.call.read())
        self.cursor = message.cursor
        return message

    async def event(self) -> tuple[str, list[str]]:
        """The next event: its kind and the paths."""
        message = await self.next()
        while not message.HasField("event"):
            message = await self.next()
        kind = EventType.Name(message.event.type).removeprefix("EVENT_TYPE_LOCK_")
        return kind, [lock.path for lock in message.event.locks]


@asynccontextmanager
async def watch_locks(studio: Studio, user: Account, cursor: str = "") -> AsyncIterator[Watcher]:
    watcher = Watcher(studio, user, cursor)
    try:
        yield watcher
    finally:
        watcher.call.cancel()
