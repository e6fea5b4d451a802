"""Finding locks: one by its id, and lists by path, holder and prefix."""

from __future__ import annotations

from uuid import uuid4

from dits.lock.v1 import lock_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import Visibility
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from tests.support.api import Account, refused
from tests.support.locks import SHARED, Studio


async def get(studio: Studio, user: Account, lock_id: str) -> pb.Lock:
    request = pb.GetLockRequest(repository=studio.repo.id, lock_id=lock_id)
    response = await studio.api.locks.GetLock(request, metadata=user.auth)
    assert response.server_time.seconds
    lock: pb.Lock = response.lock
    return lock


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
