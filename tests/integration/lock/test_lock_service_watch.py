"""Watching locks: in order, without gaps, resumable, and honest about what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest
from dits.common.v1.event_pb2 import EventType
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from services.lock.locks.cursors import CursorSeal
from services.lock.locks.event_stream import LockEventStream
from shared.db.listen import Listener
from shared.records.retention import Retention
from tests.support.api import Account, Api, refused
from tests.support.locks import SHARED, Studio, open_replica

# An event about a lock, with a word to know it by.
EMIT = """SELECT emit_event('lock.released', $1::uuid, NULL, NULL, jsonb_build_object(
    'cause', $2::text, 'type', 'LOCK_TYPE_SHARED', 'holder_id', gen_random_uuid(), 'holder', 'bob',
    'release_on_push', false,
    'lock_time', now(), 'expire_time', now(),
    'locks', '[{"lock_id": "x", "path": "p", "fence": "1"}]'::jsonb))"""


@pytest.fixture
async def studio(api: Api) -> Studio:
    return await Studio.open(api)


class Watcher:
    """A call of Watch."""

    def __init__(self, studio: Studio, user: Account, cursor: str) -> None:
        request = pb.WatchRequest(repository=studio.repo.id, cursor=cursor)
        self.call = studio.api.locks.Watch(request, metadata=user.auth)
        self.cursor = cursor

    async def next(self) -> pb.WatchResponse:
        """The next message, at the latest after ten seconds."""
        async with asyncio.timeout(10):
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
async def watching(studio: Studio, user: Account, cursor: str = "") -> AsyncIterator[Watcher]:
    watcher = Watcher(studio, user, cursor)
    try:
        yield watcher
    finally:
        watcher.call.cancel()


async def test_the_first_message_comes_at_once_and_has_a_cursor(studio: Studio) -> None:
    await studio.take(studio.bob, "before")
    async with watching(studio, studio.dan) as watcher:
        first = await watcher.next()
        assert not first.HasField("event")
        assert first.cursor
        assert first.server_time.seconds
        await studio.take(studio.bob, "after")
        assert await watcher.event() == ("ACQUIRED", ["after"])


async def test_events_tell_what_happened(studio: Studio) -> None:
    async with watching(studio, studio.bob) as watcher:
        await watcher.next()
        taken = await studio.acquire(studio.bob, "b", "a", reason="why")
        b, a = (result.lock for result in taken.results)
        message = await watcher.next()
        assert message.event.type == EventType.EVENT_TYPE_LOCK_ACQUIRED
        assert list(message.event.locks) == [a, b]
        assert message.event.actor_id == str(studio.bob.id)
        await studio.renew(studio.bob, a)
        assert await watcher.event() == ("RENEWED", ["a"])
        await studio.release(studio.bob, a)
        assert await watcher.event() == ("RELEASED", ["a"])
        c = (await studio.transfer(studio.bob, b, studio.cyn)).lock
        assert await watcher.event() == ("TRANSFERRED", ["b"])
        assert await watcher.event() == ("ACQUIRED", ["b"])
        d = await studio.take(studio.ada, "b", reason="mine", steal_lock_ids=[c.id])
        message = await watcher.next()
        assert message.event.type == EventType.EVENT_TYPE_LOCK_STOLEN
        assert (message.event.reason, message.event.actor_id) == ("mine", str(studio.ada.id))
        assert (await watcher.next()).event.locks[0].fence == d.fence
        await studio.force(studio.ada, d, "done")
        assert await watcher.event() == ("FORCE_RELEASED", ["b"])
        late = await studio.take(studio.cyn, "e", type=SHARED, ttl=Duration(seconds=10))
        await watcher.event()
        await studio.pass_time(10)
        await studio.history(studio.dan)
        message = await watcher.next()
        assert message.event.type == EventType.EVENT_TYPE_LOCK_EXPIRED
        assert (message.event.locks[0].id, message.event.actor_id) == (late.id, "")


async def test_a_watch_goes_on_from_any_cursor(studio: Studio) -> None:
    async with watching(studio, studio.bob) as watcher:
        cursors = [(await watcher.next()).cursor]
        expected = []
        for i in range(250):
            await studio.take(studio.bob, f"p{i}")
            expected.append(("ACQUIRED", [f"p{i}"]))
        for event in expected:
            assert await watcher.event() == event
            cursors.append(watcher.cursor)
    for at in (0, 1, 99, 100, 249):
        async with watching(studio, studio.cyn, cursors[at]) as watcher:
            for event in expected[at:]:
                assert await watcher.event() == event
    async with watching(studio, studio.bob, cursors[-1]) as watcher:
        assert not (await watcher.next()).HasField("event")


async def test_only_events_of_this_repository_and_of_locks(studio: Studio) -> None:
    elsewhere = await Studio.open(studio.api)
    async with watching(studio, studio.bob) as watcher:
        await watcher.next()
        await elsewhere.take(elsewhere.ada, "there")
        await studio.api.fetch(
            "SELECT emit_event('branch.created', $1::uuid, NULL, NULL, '{}')", studio.repo.id
        )
        await studio.take(studio.bob, "here")
        assert await watcher.event() == ("ACQUIRED", ["here"])


async def test_what_commits_late_is_neither_skipped_nor_out_of_order(studio: Studio) -> None:
    async def told(watcher: Watcher) -> str:
        while True:
            message = await watcher.next()
            if message.HasField("event"):
                return message.event.reason

    first, second = [await asyncpg.connect(studio.api.dsn) for _ in range(2)]
    try:
        async with watching(studio, studio.bob) as watcher:
            cursor = (await watcher.next()).cursor
            slow = first.transaction()
            await slow.start()
            await first.execute(EMIT, studio.repo.id, "slow")
            await second.execute(EMIT, studio.repo.id, "quick")
            # A watcher that begins now has read all that is settled before the slow one ends.
            async with watching(studio, studio.bob, cursor) as another:
                assert not (await another.next()).HasField("event")
                await slow.commit()
                for each in (watcher, another):
                    assert [await told(each) for _ in range(2)] == ["slow", "quick"]
                    assert each.cursor == watcher.cursor
    finally:
        await first.close()
        await second.close()


async def test_a_lock_that_a_push_releases_is_seen_without_a_hint(studio: Studio) -> None:
    await studio.take(studio.bob, "a", release_on_push=True)
    async with watching(studio, studio.cyn) as watcher:
        await watcher.next()
        await studio.api.fetch(
            "SELECT * FROM release_pushed_locks($1::uuid, $2, $3)",
            studio.repo.id,
            studio.bob.id,
            ["a"],
        )
        assert await watcher.event() == ("RELEASED", ["a"])


async def test_a_hint_wakes_watchers_of_other_replicas(studio: Studio) -> None:
    listener = Listener(studio.api.dsn)
    async with open_replica(studio.api) as replica:
        replica.signal.receive_hints(listener)
        listener.start()
        try:
            with replica.signal.watch_repository(UUID(studio.repo.id)) as signal:
                # Listening begins at some moment; every change after it is told.
                for i in range(1000):
                    await studio.take(studio.bob, f"a{i}")
                    if signal.is_set():
                        break
                await asyncio.wait_for(signal.wait(), 10)
        finally:
            await listener.stop()


async def test_silence_is_broken_by_checkpoints(studio: Studio) -> None:
    async with open_replica(studio.api) as replica:
        stream = LockEventStream(replica.databases, replica.signal, checkpoint_seconds=0.01)
        moments = stream.follow_events(UUID(studio.repo.id), None)
        checkpoints = [await anext(moments) for _ in range(3)]
        await moments.aclose()
    assert not any(moment.event for moment in checkpoints)
    assert checkpoints[-1].server_time > checkpoints[0].server_time


async def test_a_cursor_that_is_too_old_is_refused(studio: Studio) -> None:
    async with watching(studio, studio.bob) as watcher:
        start = (await watcher.next()).cursor
        await studio.take(studio.bob, "a")
        await watcher.event()
        seen = watcher.cursor
    async with open_replica(studio.api) as replica:
        retention = Retention(replica.databases.of(UUID(studio.repo.id)))
        await retention.purge_tables()
        async with watching(studio, studio.bob, start) as watcher:
            assert await watcher.event() == ("ACQUIRED", ["a"])
        # A consumer that has not read them yet keeps events in place.
        await studio.api.fetch("UPDATE events SET created_at = created_at - interval '31 days'")
        await studio.api.fetch("INSERT INTO event_cursors (consumer) VALUES ('webhooks')")
        await retention.purge_tables()
        assert await studio.events() != []
        await studio.api.fetch("DELETE FROM event_cursors")
        await retention.purge_tables()
        assert await studio.events() == []
    with refused(StatusCode.OUT_OF_RANGE, "CURSOR_TOO_OLD"):
        async with watching(studio, studio.bob, start) as watcher:
            await watcher.next()
    async with watching(studio, studio.bob, seen) as watcher:
        assert not (await watcher.next()).HasField("event")


@pytest.mark.parametrize(
    "changes", [{"database_id": str(UUID(int=7))}, {"xid": "1000000000"}], ids=lambda c: min(c)
)
async def test_a_cursor_of_another_database_is_refused(
    studio: Studio, changes: dict[str, Any]
) -> None:
    """It names another one, or a transaction that this one has not begun."""
    async with watching(studio, studio.bob) as watcher:
        cursor = (await watcher.next()).cursor
    cursors = CursorSeal(studio.api.suite._runtime.key, UUID(studio.repo.id))
    position = cursors.read_cursor(cursor)
    assert position.database_id == str(await studio.api.value("SELECT database_id()"))
    foreign = cursors.write_cursor(position._replace(**changes))
    with refused(StatusCode.OUT_OF_RANGE, "CURSOR_TOO_OLD"):
        async with watching(studio, studio.bob, foreign) as watcher:
            await watcher.next()


async def test_a_forged_cursor_is_refused(studio: Studio) -> None:
    elsewhere = await Studio.open(studio.api)
    async with watching(elsewhere, elsewhere.bob) as watcher:
        foreign = (await watcher.next()).cursor
    for cursor in (foreign, "x", "é", foreign[:-4], "AAAA"):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            async with watching(studio, studio.bob, cursor) as watcher:
                await watcher.next()
        assert refusal.detail(BadRequest).field_violations[0].field == "cursor"


async def test_who_may_watch(studio: Studio) -> None:
    stranger = await studio.api.account()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        async with watching(studio, stranger) as watcher:
            await watcher.next()
    token = await studio.api.api_token(studio.bob, "lock:write")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        async with watching(studio, token) as watcher:
            await watcher.next()


async def test_a_watch_ends_with_the_right_to_it(studio: Studio) -> None:
    async with watching(studio, studio.dan) as watcher:
        await watcher.next()
        await studio.api.fetch(
            "DELETE FROM repository_collaborators WHERE user_id = $1", studio.dan.id
        )
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            while True:
                await watcher.next()
