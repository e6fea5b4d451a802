"""Calls of EventService.Watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from dits.common.v1.event_pb2 import Event
from dits.repo.v1 import event_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import Repository

from shared.records.events import NAMES
from tests.integration.schema.rows import connected, until
from tests.support.api import Account, Api
from tests.support.outbox import SETTLED
from tests.support.waiting import PATIENCE_SECONDS

TELL = """SELECT emit_event('branch.created', $1::uuid, NULL, NULL, jsonb_build_object('branch', b))
          FROM unnest($2::text[]) AS b"""


class EventWatcher:
    """A call of Watch."""

    def __init__(self, api: Api, who: Account | None, **request: Any) -> None:
        self.call = api.events.Watch(
            pb.WatchRequest(**request), metadata=who.auth if who is not None else None
        )
        self.cursor = ""

    async def next(self) -> pb.WatchResponse:
        """The next message."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = cast(pb.WatchResponse, await self.call.read())
        self.cursor = message.cursor
        return message

    async def event(self) -> Event:
        """The next event."""
        message = await self.next()
        while not message.HasField("event"):
            message = await self.next()
        return message.event

    async def name(self) -> str:
        """The name of the next event."""
        return NAMES[(await self.event()).type]

    async def branch(self) -> str:
        """The branch that the next event is about."""
        return (await self.event()).branch.branch


async def tell(api: Api, repository: Repository, *branches: str) -> None:
    """Emits events to know by their branches."""
    await api.fetch(TELL, repository.id, branches)


@asynccontextmanager
async def watch_events(
    api: Api, who: Account | None, **request: Any
) -> AsyncIterator[EventWatcher]:
    watcher = EventWatcher(api, who, **request)
    try:
        yield watcher
    finally:
        watcher.call.cancel()


async def cursor_now(api: Api, who: Account, **request: str) -> str:
    """A cursor behind all that has happened."""
    async with connected(api.dsn) as connection:
        await until(connection, SETTLED)
    async with watch_events(api, who, **request) as watcher:
        return (await watcher.next()).cursor
