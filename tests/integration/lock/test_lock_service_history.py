"""The history of locks."""

from __future__ import annotations

from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from tests.support.api import refused
from tests.support.locks import SHARED, Studio


async def test_the_history_tells_all_and_in_order(studio: Studio) -> None:
    a = await studio.take(studio.bob, "a", ttl=Duration(seconds=10), reason="first")
    await studio.pass_time(10)
    b = await studio.take(studio.cyn, "b")
    await studio.release(studio.cyn, b)
    c = await studio.take(studio.bob, "c", type=SHARED)
    await studio.force(studio.ada, c, "enough")
    # Nobody has touched `a`: the history itself writes down that its time is up.
    entries = (await studio.history(studio.dan)).entries
    told = [(e.path, pb.HistoryAction.Name(e.action)[15:], e.holder, e.actor) for e in entries]
    ada, bob, cyn = (user.username for user in (studio.ada, studio.bob, studio.cyn))
    assert told == [
        ("c", "FORCE_RELEASED", bob, ada),
        ("c", "ACQUIRED", bob, bob),
        ("b", "RELEASED", cyn, cyn),
        ("b", "ACQUIRED", cyn, cyn),
        ("a", "EXPIRED", bob, ""),
        ("a", "ACQUIRED", bob, bob),
    ]
    assert (entries[0].reason, entries[0].type) == ("enough", SHARED)
    assert entries[4].time == entries[4].expire_time == a.expire_time
    assert entries[5].reason == "first"
    assert await studio.paths(expired=True) == []


async def test_the_history_is_filtered_and_paged(studio: Studio) -> None:
    for user in (studio.bob, studio.cyn, studio.bob):
        taken = await studio.acquire(user, "a", "d/", "b")
        await studio.release(user, *(result.lock for result in taken.results))
    everything = list((await studio.history(studio.ada, page_size=1000)).entries)
    assert len(everything) == 18

    async def paged(**filters: str) -> list[pb.HistoryEntry]:
        found: list[pb.HistoryEntry] = []
        token = ""
        while True:
            page = await studio.history(studio.ada, page_size=2, page_token=token, **filters)
            found += page.entries
            token = page.next_page_token
            if not token:
                return found

    bob, lock_id = studio.bob.username, everything[0].lock_id
    assert await paged() == everything
    assert await paged(path="d/") == [e for e in everything if e.path == "d/"]
    assert await paged(holder=bob) == [e for e in everything if e.holder == bob]
    assert await paged(lock_id=lock_id) == [e for e in everything if e.lock_id == lock_id]
    assert await paged(path="b", holder=bob) == [
        e for e in everything if (e.path, e.holder) == ("b", bob)
    ]
    assert await paged(path="nothing", lock_id=lock_id) == []
    assert await paged(holder="nobody-there", lock_id=lock_id) == []
    elsewhere = await Studio.open(studio.api)
    assert (await elsewhere.history(elsewhere.ada, lock_id=lock_id)).entries == []
    for bad in ({"path": "/a"}, {"holder": "?"}, {"lock_id": "x"}):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await studio.history(studio.ada, **bad)
