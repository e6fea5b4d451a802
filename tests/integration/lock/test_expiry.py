"""What happens as the end of a lock comes near, and when it has come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from google.protobuf.duration_pb2 import Duration

from services.lock.background.expiry import LockExpiry
from shared.runtime.background import BackgroundTask
from tests.support.api import Api
from tests.support.lock_watcher import watch_locks
from tests.support.locks import ADVISORY, Studio, open_replica

MINUTE = 60
HOUR = 3600


@pytest.fixture
async def expiry(api: Api) -> AsyncIterator[LockExpiry]:
    """A replica's background work, when the test wants it."""
    async with open_replica(api) as replica:
        yield replica.expiry


async def test_the_background_work_writes_the_ends(studio: Studio, expiry: LockExpiry) -> None:
    a = await studio.take(studio.bob, "a", ttl=Duration(seconds=HOUR))
    b = await studio.take(studio.cyn, "b", ttl=Duration(seconds=HOUR), type=ADVISORY)
    c = await studio.take(studio.bob, "c", ttl=Duration(seconds=3 * HOUR))
    await studio.grow_old(2 * HOUR)
    await expiry.process_due_locks()
    assert await studio.api.value("SELECT count(*) FROM locks") == 1
    assert [await studio.story(lock) for lock in (a, b, c)] == [
        ["acquired", "expired"],
        ["acquired", "expired"],
        ["acquired"],
    ]
    assert (await studio.events())[-2:] == [("lock.expired", ["a"]), ("lock.expired", ["b"])]


async def test_owners_are_warned_once_before_the_end(studio: Studio, expiry: LockExpiry) -> None:
    await studio.acquire(studio.bob, "a", "b", ttl=Duration(seconds=HOUR))
    await studio.take(studio.cyn, "c", ttl=Duration(seconds=HOUR))
    await studio.take(studio.cyn, "long")
    await expiry.process_due_locks()
    assert await studio.notifications(studio.bob) == []
    await studio.grow_old(46 * MINUTE)
    await expiry.process_due_locks()
    await expiry.process_due_locks()
    [(kind, title)] = await studio.notifications(studio.bob)
    assert kind == "lock.expiring"
    assert "2 locks" in title
    [(_, title)] = await studio.notifications(studio.cyn)
    assert "lock on c" in title
    assert f"{studio.ada.username}/{studio.repo.name}" in title
    warnings = [paths for kind, paths in await studio.events() if kind == "lock.expiring"]
    assert warnings == [["a", "b"], ["c"]]


async def test_a_renewed_lock_is_warned_about_again(studio: Studio, expiry: LockExpiry) -> None:
    lock = await studio.take(studio.bob, "a", ttl=Duration(seconds=HOUR))
    await studio.grow_old(50 * MINUTE)
    await expiry.process_due_locks()
    await studio.renew(studio.bob, lock, ttl=Duration(seconds=HOUR))
    await expiry.process_due_locks()
    assert len(await studio.notifications(studio.bob)) == 1
    await studio.grow_old(50 * MINUTE)
    await expiry.process_due_locks()
    assert len(await studio.notifications(studio.bob)) == 2


async def test_short_locks_are_not_warned_about(studio: Studio, expiry: LockExpiry) -> None:
    short = await studio.take(studio.bob, "a", ttl=Duration(seconds=15 * MINUTE))
    await expiry.process_due_locks()
    # Nor is who renews every few minutes, however long the lock has lasted.
    long = await studio.take(studio.bob, "b", ttl=Duration(seconds=HOUR))
    await studio.grow_old(HOUR - 20 * MINUTE)
    await studio.renew(studio.bob, long, ttl=Duration(seconds=10 * MINUTE))
    assert await studio.story(short) == ["acquired", "expired"]
    await expiry.process_due_locks()
    titles = [title for _, title in await studio.notifications(studio.bob)]
    assert titles == []


async def test_several_replicas_do_everything_once(
    studio: Studio, expiry: LockExpiry, api: Api
) -> None:
    others = [await Studio.open(api) for _ in range(4)]
    for each in (studio, *others):
        await each.acquire(each.bob, *(f"p{i}" for i in range(20)), ttl=Duration(seconds=HOUR))
        await each.take(each.cyn, "late", ttl=Duration(seconds=30 * MINUTE))
        await each.grow_old(50 * MINUTE)
    await asyncio.gather(*(expiry.process_due_locks() for _ in range(4)))
    for each in (studio, *others):
        kinds = [kind for kind, _ in await each.events()]
        assert sorted(kinds) == sorted(
            ["lock.acquired", "lock.acquired", "lock.expired", "lock.expiring"]
        )
        assert len(await each.notifications(each.bob)) == 1
    assert await api.value("SELECT count(*) FROM lock_history WHERE action = 'expired'") == 5


async def test_without_background_work_everything_is_right(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a", ttl=Duration(seconds=10))
    held = await studio.take(studio.bob, "d/", ttl=Duration(seconds=10))
    await studio.pass_time(10)
    assert await studio.paths() == []
    assert await studio.release(studio.bob, lock) == ["ALREADY_ENDED"]
    await studio.acquire(studio.cyn, "a", "d/x")
    conflicts = "SELECT path FROM lock_conflicts($1::uuid, $2, ARRAY['a', 'd/x', 'd/y'])"
    in_way = await studio.api.fetch(conflicts, studio.repo.id, studio.bob.id)
    assert [row["path"] for row in in_way] == ["a", "d/x"]
    assert await studio.story(held) == ["acquired", "expired"]


async def test_the_background_work_goes_on(studio: Studio) -> None:
    async with open_replica(studio.api) as replica:
        task = BackgroundTask("test", replica.expiry.process_due_locks, 0.01)
        running = asyncio.create_task(task.run())
        try:
            async with watch_locks(studio, studio.dan) as watcher:
                await watcher.next()
                for _ in range(2):
                    await studio.take(studio.bob, "a", ttl=Duration(seconds=HOUR))
                    await studio.grow_old(2 * HOUR)
                    assert await watcher.event() == ("ACQUIRED", ["a"])
                    assert await watcher.event() == ("EXPIRED", ["a"])
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
