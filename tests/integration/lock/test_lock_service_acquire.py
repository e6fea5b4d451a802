"""Acquiring locks: which are granted, which conflict, and what is written down."""

from __future__ import annotations

import itertools
from datetime import UTC, timedelta

import pytest
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import PreconditionFailure
from grpc import StatusCode

from tests.support.api import refused
from tests.support.locks import ADVISORY, EXCLUSIVE, PER_PATH, SHARED, Studio


async def test_a_lock_says_all_about_itself(studio: Studio) -> None:
    response = await studio.acquire(
        studio.bob, "b.blend", "a/", reason="colours", release_on_push=True
    )
    assert [result.path for result in response.results] == ["b.blend", "a/"]
    lock = response.results[0].lock
    assert (lock.path, lock.type, lock.holder_id, lock.holder, lock.ours, lock.reason) == (
        "b.blend",
        EXCLUSIVE,
        str(studio.bob.id),
        studio.bob.username,
        True,
        "colours",
    )
    assert lock.release_on_push
    assert lock.lock_time == response.server_time
    span = lock.expire_time.ToDatetime(UTC) - lock.lock_time.ToDatetime(UTC)
    assert span == timedelta(hours=8)
    listed = (await studio.list(studio.ada)).locks
    assert [(seen.path, seen.ours) for seen in listed] == [("a/", False), ("b.blend", False)]
    assert listed[1].id == lock.id


@pytest.mark.parametrize(
    ("first", "second"), [("a/b", "a/b"), ("a/", "a/b/c"), ("a/b/c", "a/"), ("a/", "a/b/")]
)
async def test_which_locks_agree(
    studio: Studio, subtests: pytest.Subtests, first: str, second: str
) -> None:
    lock_types = (EXCLUSIVE, SHARED, ADVISORY)
    for held, asked in itertools.product(lock_types, lock_types):
        top = f"{held}{asked}/"
        mine = await studio.take(studio.bob, top + first, type=held)
        response = await studio.acquire(studio.cyn, top + second, type=asked, batch_mode=PER_PATH)
        result = response.results[0]
        with subtests.test(held=held, asked=asked):
            if ADVISORY in (held, asked) or held == asked == SHARED:
                assert result.lock.type == asked
            else:
                assert result.conflict == seen_by_others(mine)


def seen_by_others(lock: pb.Lock) -> pb.Lock:
    other = pb.Lock()
    other.CopyFrom(lock)
    other.ours = False
    return other


async def test_neighbours_do_not_meet(studio: Studio) -> None:
    await studio.acquire(studio.bob, "a/", "b", "c/d", "é/", "f/g/")
    free = ["a", "a.x", "a0", "b/", "bb", "c/", "c/dd", "c/d/", "e", "f/h", "f/g", "f/gg/"]
    response = await studio.acquire(studio.cyn, *free, batch_mode=PER_PATH)
    refused_paths = {r.path: r.conflict.path for r in response.results if r.HasField("conflict")}
    assert refused_paths == {"c/": "c/d"}


async def test_locks_of_one_user_do_not_conflict(studio: Studio) -> None:
    await studio.acquire(studio.bob, "a/", "a/b", "a/c/", "a/c/d")
    response = await studio.acquire(studio.bob, "a/c/d/e", "a/x", type=SHARED)
    assert all(result.HasField("lock") for result in response.results)


async def test_a_lock_that_is_already_held_is_returned_unchanged(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a", reason="first")
    again = await studio.acquire(studio.bob, "a", "b", reason="second", ttl=Duration(seconds=60))
    assert [result.already_held for result in again.results] == [True, False]
    assert again.results[0].lock == lock
    for lock_type in (SHARED, ADVISORY):
        path = f"lock_type{lock_type}"
        held = await studio.take(studio.bob, path, type=lock_type)
        again = await studio.acquire(studio.bob, path, type=lock_type)
        assert again.results[0].already_held
        assert again.results[0].lock == held
    assert await studio.story(lock) == ["acquired"]


async def test_the_lock_type_is_changed_by_naming_the_lock(studio: Studio) -> None:
    shared = await studio.take(studio.bob, "a", type=SHARED)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
        await studio.acquire(studio.bob, "a")
    assert refusal.metadata["lock_id"] == shared.id
    exclusive = await studio.take(studio.bob, "a", steal_lock_ids=[shared.id])
    assert exclusive.type == EXCLUSIVE
    assert exclusive.fence > shared.fence
    assert await studio.story(shared) == ["acquired", "released"]
    assert await studio.notifications(studio.bob) == []
    # An advisory lock is in nobody's way, not even one's own.
    await studio.take(studio.bob, "a", type=ADVISORY)


async def test_an_atomic_batch_takes_all_or_nothing(studio: Studio) -> None:
    held = await studio.take(studio.bob, "dir/", reason="cleaning up")
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
        await studio.acquire(studio.cyn, "z", "dir/b", "dir/a", "free")
    assert refusal.metadata == {
        "count": "2",
        "path": "dir/b",
        "lock_id": held.id,
        "lock_path": held.path,
        "holder": studio.bob.username,
        "since": held.lock_time.ToJsonString(),
        "expires": held.expire_time.ToJsonString(),
        "reason": "cleaning up",
    }
    violations = refusal.detail(PreconditionFailure).violations
    assert [violation.subject for violation in violations] == ["dir/b", "dir/a"]
    assert "cleaning up" in refusal.message
    assert await studio.paths() == ["dir/"]


async def test_per_path_takes_what_it_can(studio: Studio) -> None:
    await studio.take(studio.bob, "b")
    response = await studio.acquire(studio.cyn, "c", "b", "a", batch_mode=PER_PATH)
    outcomes = [(r.path, r.WhichOneof("outcome")) for r in response.results]
    assert outcomes == [("c", "lock"), ("b", "conflict"), ("a", "lock")]
    assert await studio.paths() == ["a", "b", "c"]


async def test_fences_rise_with_every_grant(studio: Studio) -> None:
    fences = []
    for _ in range(3):
        response = await studio.acquire(studio.bob, "c", "a", "b")
        by_path = sorted((result.lock for result in response.results), key=lambda lock: lock.path)
        fences += [lock.fence for lock in by_path]
        await studio.release(studio.bob, *by_path)
    assert fences == sorted(set(fences))


async def test_an_expired_lock_conflicts_with_none_and_ends_once(studio: Studio) -> None:
    old = await studio.take(studio.bob, "a", ttl=Duration(seconds=10))
    await studio.pass_time(9.9)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
        await studio.acquire(studio.cyn, "a")
    await studio.pass_time(10)
    new = await studio.take(studio.cyn, "a")
    assert new.fence > old.fence
    entries = (await studio.history(studio.ada, path="a")).entries
    told = [(e.lock_id, pb.HistoryAction.Name(e.action)[15:], e.actor_id) for e in entries]
    assert told == [
        (new.id, "ACQUIRED", str(studio.cyn.id)),
        (old.id, "EXPIRED", ""),
        (old.id, "ACQUIRED", str(studio.bob.id)),
    ]
    assert entries[1].time == old.expire_time
    assert await studio.events() == [
        ("lock.acquired", ["a"]),
        ("lock.expired", ["a"]),
        ("lock.acquired", ["a"]),
    ]


async def test_a_conflict_of_long_texts_still_reaches_the_client(studio: Studio) -> None:
    """Clients refuse long trailers: with all of it the caller would learn nothing."""
    deep = "ä" * 120 + "/"
    paths = [deep * 4 + f"{n:02}" for n in range(40)]
    await studio.acquire(studio.bob, *paths, reason="ü" * 512)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as told:
        await studio.acquire(studio.cyn, *paths)
    assert told.metadata["count"] == "40"
    assert told.metadata["path"] == paths[0]
    assert told.metadata["reason"] == "ü" * 512
    assert told.metadata["lock_path"] == paths[0]
