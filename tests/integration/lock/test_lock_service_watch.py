"""Watching locks: events in order and without gaps, for callers who may see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from uuid import UUID

import asyncpg
import pytest
from dits.common.v1.event_pb2 import EventType
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from services.lock.locks.event_scope import LockEvents
from shared.db.listen import Listener
from shared.errors import DomainError
from shared.outbox.event_stream import EventMoment, EventStream
from shared.outbox.stored_event import EventPosition
from shared.rpc.byte_budget import ByteBudget
from tests.support.api import refused
from tests.support.lock_watcher import Watcher, watch_locks
from tests.support.locks import SHARED, Studio, open_replica
from tests.support.waiting import PATIENCE_SECONDS

# An event about a lock, with a word to know it by.
EMIT = """SELECT emit_event('lock.released', $1::uuid, NULL, NULL, jsonb_build_object(
    'cause', $2::text, 'type', 'LOCK_TYPE_SHARED', 'holder_id', gen_random_uuid(), 'holder', 'bob',
    'release_on_push', false,
    'lock_time', now(), 'expire_time', now(),
    'locks', '[{"lock_id": "x", "path": "p", "fence": "1"}]'::jsonb))"""


async def test_the_first_message_comes_at_once_and_has_a_cursor(studio: Studio) -> None:
    await studio.take(studio.bob, "before")
    async with watch_locks(studio, studio.dan) as watcher:
        first = await watcher.next()
        assert not first.HasField("event")
        assert first.cursor
        assert first.server_time.seconds
        await studio.take(studio.bob, "after")
        assert await watcher.event() == ("ACQUIRED", ["after"])


async def test_events_tell_what_happened(studio: Studio) -> None:
    async with watch_locks(studio, studio.bob) as watcher:
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


async def test_only_events_of_this_repository_and_of_locks(studio: Studio) -> None:
    elsewhere = await Studio.open(studio.api)
    async with watch_locks(studio, studio.bob) as watcher:
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
        async with watch_locks(studio, studio.bob) as watcher:
            cursor = (await watcher.next()).cursor
            slow = first.transaction()
            await slow.start()
            await first.execute(EMIT, studio.repo.id, "slow")
            await second.execute(EMIT, studio.repo.id, "quick")
            # A watcher that begins now has read all that is settled before the slow one ends.
            async with watch_locks(studio, studio.bob, cursor) as another:
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
    async with watch_locks(studio, studio.cyn) as watcher:
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
                await asyncio.wait_for(signal.wait(), PATIENCE_SECONDS)
        finally:
            await listener.stop()


async def test_silence_is_broken_by_checkpoints(studio: Studio) -> None:
    async with open_replica(studio.api) as replica:
        stream = EventStream(replica.signal, checkpoint_seconds=0.01)
        repository_id = UUID(studio.repo.id)
        database = replica.databases.of(repository_id)
        moments = stream.follow_events(database, LockEvents(repository_id), None)
        checkpoints = [await anext(moments) for _ in range(3)]
        await moments.aclose()
    assert not any(moment.event for moment in checkpoints)
    assert checkpoints[-1].server_time > checkpoints[0].server_time


async def test_large_events_that_nobody_takes_are_not_held_without_bound(studio: Studio) -> None:
    repository_id = UUID(studio.repo.id)
    async with open_replica(studio.api) as replica:
        budget = ByteBudget(4 << 20, wait_seconds=0.05)
        stream = EventStream(replica.signal, budget=budget)
        database, scope = replica.databases.of(repository_id), LockEvents(repository_id)

        def follow(
            position: EventPosition | None, who: str
        ) -> AbstractAsyncContextManager[AsyncGenerator[EventMoment, None]]:
            return aclosing(stream.follow_events(database, scope, position, who))

        async with follow(None, "ada") as first:
            begun = (await anext(first)).position
        await studio.acquire(studio.bob, *(f"{i}/{'x' * 900}" for i in range(200)))
        async with follow(begun, "ada") as first:
            while (await anext(first)).event is None:
                """It has yet to settle."""
            assert budget.held > 700_000
            async with follow(begun, "ada") as second:
                with pytest.raises(DomainError, match="holds too many bytes"):
                    await anext(second)
            async with follow(begun, "bob") as third:
                assert (await anext(third)).event is not None
        assert budget.held == 0
        async with follow(begun, "ada") as second:
            assert (await anext(second)).event is not None


async def test_who_may_watch(studio: Studio) -> None:
    stranger = await studio.api.account()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        async with watch_locks(studio, stranger) as watcher:
            await watcher.next()
    token = await studio.api.api_token(studio.bob, "lock:write")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        async with watch_locks(studio, token) as watcher:
            await watcher.next()


async def test_a_watch_ends_with_the_right_to_it(studio: Studio) -> None:
    async with watch_locks(studio, studio.dan) as watcher:
        await watcher.next()
        await studio.api.fetch(
            "DELETE FROM repository_collaborators WHERE user_id = $1", studio.dan.id
        )
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            while True:
                await watcher.next()
