"""Finding locks: one, many, of paths, and in the history."""

from __future__ import annotations

import random
from typing import cast
from uuid import uuid4

import grpc
import pytest
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.lock.v1 import lock_service_pb2 as pb
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub
from dits.repo.v1.repository_service_pb2 import Visibility
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.locks import ADVISORY, SHARED, Studio


@pytest.fixture
async def studio(api: Api) -> Studio:
    return await Studio.open(api)


async def get(studio: Studio, user: Account, lock_id: str) -> pb.Lock:
    request = pb.GetLockRequest(repository=studio.repo.id, lock_id=lock_id)
    response = await studio.api.locks.GetLock(request, metadata=user.auth)
    assert response.server_time.seconds
    lock: pb.Lock = response.lock
    return lock


async def check(studio: Studio, user: Account, *paths: str) -> list[pb.PathStatus]:
    request = pb.CheckPathsRequest(repository=studio.repo.id, paths=paths)
    response = await studio.api.locks.CheckPaths(request, metadata=user.auth)
    return list(response.statuses)


async def test_one_lock_is_found_while_it_lives(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a", ttl=Duration(seconds=10))
    assert await get(studio, studio.bob, lock.id) == lock
    assert not (await get(studio, studio.dan, lock.id)).ours
    elsewhere = await Studio.open(studio.api)
    foreign = await elsewhere.take(elsewhere.ada, "a")
    for lock_id in (foreign.id, str(uuid4())):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await get(studio, studio.ada, lock_id)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await get(studio, studio.ada, "x")
    await studio.pass_time(10)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await get(studio, studio.bob, lock.id)


async def test_pages_go_through_all_locks_in_the_order_of_bytes(studio: Studio) -> None:
    paths = ["Z", "a", "a b", "a/", "a/b", "a0", "ab", "z", "é", "日本", "\U0001f3a8"]
    await studio.acquire(studio.bob, *paths)
    await studio.acquire(studio.cyn, "s", "t", type=SHARED)
    await studio.acquire(studio.ada, "s", type=SHARED)
    seen: list[tuple[str, str]] = []
    token = ""
    while True:
        page = await studio.list(studio.dan, page_size=3, page_token=token)
        seen += [(lock.path, lock.holder) for lock in page.locks]
        token = page.next_page_token
        if not token:
            break
        assert len(page.locks) == 3
    assert [path for path, _ in seen] == sorted([*paths, "s", "s", "t"], key=str.encode)
    assert [owner for path, owner in seen if path == "s"] == [
        studio.cyn.username,
        studio.ada.username,
    ]


async def test_a_page_token_belongs_to_its_request(studio: Studio) -> None:
    await studio.acquire(studio.bob, "a", "b", "c")
    token = (await studio.list(studio.bob, page_size=1)).next_page_token
    for user, fields in ((studio.cyn, {}), (studio.bob, {"path_prefix": "b"})):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
            await studio.list(user, page_token=token, **fields)
    for bad in ("x", token[:-4] + "AAAA", "é"):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
            await studio.list(studio.bob, page_token=bad)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await studio.list(studio.bob, page_size=-1)


async def test_lists_by_prefix(studio: Studio) -> None:
    await studio.acquire(
        studio.bob, "a/b", "a/c", "a0", "ab", "b", "\ud7ff1", "\ue0001", "\U0010ffff1"
    )
    for prefix, expected in (
        ("a", ["a/b", "a/c", "a0", "ab"]),
        ("a/", ["a/b", "a/c"]),
        ("a/b", ["a/b"]),
        ("c", []),
        ("\ud7ff", ["\ud7ff1"]),
        ("\U0010ffff", ["\U0010ffff1"]),
        ("\U0010ffff" * 2, []),
    ):
        assert await studio.paths(path_prefix=prefix) == expected
    decomposed = "e\u0301"
    await studio.take(studio.bob, f"{decomposed}/x")
    assert await studio.paths(path_prefix=decomposed) == ["\u00e9/x"]
    for bad in ("a\0", "p" * 1025):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await studio.paths(path_prefix=bad)
        assert refusal.detail(BadRequest).field_violations[0].field == "path_prefix"


async def test_lists_by_holder(studio: Studio) -> None:
    await studio.acquire(studio.ada, "a")
    await studio.acquire(studio.bob, "b", "x/b")
    await studio.acquire(studio.cyn, "c")
    bob = studio.bob.username
    for fields, expected in (
        ({"holder": "me"}, ["a"]),
        ({"holder": bob}, ["b", "x/b"]),
        ({"holder": bob.upper()}, ["b", "x/b"]),
        ({"holder": bob, "path_prefix": "x"}, ["x/b"]),
        ({"holder": "nobody-there"}, []),
        ({"side": pb.SIDE_OURS}, ["a"]),
        ({"side": pb.SIDE_THEIRS}, ["b", "c", "x/b"]),
        ({"side": pb.SIDE_THEIRS, "holder": bob}, ["b", "x/b"]),
        ({"side": pb.SIDE_OURS, "holder": bob}, []),
        ({"side": pb.SIDE_THEIRS, "holder": "me"}, []),
        ({"side": pb.SIDE_OURS, "holder": "me"}, ["a"]),
    ):
        assert await studio.paths(**fields) == expected, fields
    for bad, field in (({"holder": "no spaces"}, "holder"), ({"side": 5}, "side")):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await studio.paths(**bad)
        assert refusal.detail(BadRequest).field_violations[0].field == field


async def test_lists_what_has_expired_but_has_no_end_yet(studio: Studio) -> None:
    await studio.take(studio.bob, "late", ttl=Duration(seconds=10))
    await studio.take(studio.bob, "live")
    await studio.pass_time(10)
    assert await studio.paths() == ["live"]
    assert await studio.paths(expired=True) == ["late"]
    assert await studio.paths(expired=True, holder=studio.cyn.username) == []


async def test_says_of_paths_what_bears_on_them(studio: Studio) -> None:
    folder = await studio.take(studio.bob, "d/")
    notice = await studio.take(studio.cyn, "d/n", type=ADVISORY)
    mine = await studio.take(studio.cyn, "m")
    await studio.acquire(studio.bob, "s", type=SHARED)
    shared = await studio.take(studio.cyn, "s", type=SHARED)
    paths = ["free", "d/n", "d/x/y", "d/", "m", "s", "e\u0301"]
    statuses = await check(studio, studio.cyn, *paths)
    assert [status.path for status in statuses] == [*paths[:-1], "\u00e9"]
    told = [(s.blocked, s.held, s.lock_count, s.lock.id) for s in statuses]
    assert told == [
        (False, False, 0, ""),
        (True, False, 2, folder.id),
        (True, False, 1, folder.id),
        (True, False, 1, folder.id),
        (False, True, 1, mine.id),
        (False, False, 2, (await studio.list(studio.bob, path_prefix="s")).locks[0].id),
        (False, False, 0, ""),
    ]
    assert statuses[4].lock.ours
    assert shared.id != statuses[5].lock.id
    bobs = await check(studio, studio.bob, "d/n", "m")
    assert [(s.blocked, s.held, s.lock_count) for s in bobs] == [(False, True, 2), (True, False, 1)]
    await studio.release(studio.bob, folder)
    assert (await check(studio, studio.cyn, "d/n"))[0].lock == notice
    for bad in ([], ["/a"], ["a", "a"]):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await check(studio, studio.cyn, *bad)


async def test_the_anonymous_see_public_repositories_only(studio: Studio) -> None:
    api = studio.api
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.locks.ListLocks(pb.ListLocksRequest(repository=studio.repo.id))
    public = await api.repository(studio.ada, visibility=Visibility.VISIBILITY_PUBLIC)
    acquire = pb.AcquireLocksRequest(repository=public.id, paths=["a"])
    await api.locks.AcquireLocks(acquire, metadata=studio.ada.auth)
    listed = await api.locks.ListLocks(pb.ListLocksRequest(repository=public.id))
    assert [(lock.path, lock.ours) for lock in listed.locks] == [("a", False)]
    checked = await api.locks.CheckPaths(pb.CheckPathsRequest(repository=public.id, paths=["a"]))
    assert (checked.statuses[0].blocked, checked.statuses[0].held) == (True, False)
    history = await api.locks.ListHistory(pb.ListHistoryRequest(repository=public.id))
    assert len(history.entries) == 1
    for fields in ({"side": pb.SIDE_OURS}, {"side": pb.SIDE_THEIRS}, {"holder": "me"}):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await api.locks.ListLocks(pb.ListLocksRequest(repository=public.id, **fields))


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


async def test_the_largest_answers_fit_into_a_default_message(studio: Studio) -> None:
    chosen = random.Random(7)
    reason = "".join(chosen.choice("abcdef") for _ in range(1024))
    paths = [
        f"{i:04}/" + "".join(chosen.choice("abcdef") for _ in range(1019)) for i in range(1000)
    ]
    request = pb.AcquireLocksRequest(
        repository=studio.repo.id, paths=paths, reason=reason, release_on_push=True
    )
    auth = studio.bob.auth
    async with grpc.aio.insecure_channel(studio.api.addresses["lock"]) as channel:
        stub = LockServiceStub(channel)
        watch = stub.Watch(pb.WatchRequest(repository=studio.repo.id), metadata=auth)
        await watch.read()
        taken = await stub.AcquireLocks(request, metadata=auth)
        assert len(taken.results) == 1000
        event = cast(pb.WatchResponse, await watch.read())
        assert len(event.event.locks) == 1000
        watch.cancel()
        repo_id = studio.repo.id
        listed = await stub.ListLocks(
            pb.ListLocksRequest(page_size=1000, repository=repo_id), metadata=auth
        )
        assert len(listed.locks) == 1000
        told = await stub.ListHistory(
            pb.ListHistoryRequest(page_size=1000, repository=repo_id), metadata=auth
        )
        assert len(told.entries) == 1000
        checked = await stub.CheckPaths(
            pb.CheckPathsRequest(paths=paths, repository=repo_id), metadata=auth
        )
        assert all(status.held for status in checked.statuses)
        held = [LockFence(lock_id=r.lock.id, fence=r.lock.fence) for r in taken.results]
        renewed = await stub.RenewLocks(
            pb.RenewLocksRequest(locks=held, repository=repo_id), metadata=auth
        )
        assert len(renewed.results) == 1000
