"""Taking locks: what is granted, what is refused, and what is written down."""

from __future__ import annotations

import itertools
from datetime import UTC, timedelta
from typing import Any

import pytest
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, PreconditionFailure, QuotaFailure
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.locks import ADVISORY, EXCLUSIVE, PER_PATH, SHARED, Studio


@pytest.fixture
async def studio(api: Api) -> Studio:
    return await Studio.open(api)


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
    modes = (EXCLUSIVE, SHARED, ADVISORY)
    for held, asked in itertools.product(modes, modes):
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


async def test_nobody_is_in_his_own_way(studio: Studio) -> None:
    await studio.acquire(studio.bob, "a/", "a/b", "a/c/", "a/c/d")
    response = await studio.acquire(studio.bob, "a/c/d/e", "a/x", type=SHARED)
    assert all(result.HasField("lock") for result in response.results)


async def test_what_one_holds_already_is_returned_unchanged(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a", reason="first")
    again = await studio.acquire(studio.bob, "a", "b", reason="second", ttl=Duration(seconds=60))
    assert [result.already_held for result in again.results] == [True, False]
    assert again.results[0].lock == lock
    for mode in (SHARED, ADVISORY):
        path = f"mode{mode}"
        held = await studio.take(studio.bob, path, type=mode)
        again = await studio.acquire(studio.bob, path, type=mode)
        assert again.results[0].already_held
        assert again.results[0].lock == held
    assert await studio.story(lock) == ["acquired"]


async def test_the_mode_is_changed_by_naming_ones_own_lock(studio: Studio) -> None:
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


async def test_an_expired_lock_is_in_nobodys_way_and_ends_once(studio: Studio) -> None:
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


async def test_a_thousand_paths_at_once(studio: Studio) -> None:
    paths = [f"shots/{i // 100:02}/{i:04}.blend" for i in range(1000)]
    response = await studio.acquire(studio.bob, *paths)
    assert [result.lock.path for result in response.results] == paths
    counts = await studio.api.fetch(
        "SELECT (SELECT count(*) FROM locks), (SELECT count(*) FROM lock_history),"
        " (SELECT count(*) FROM events WHERE type LIKE 'lock.%')"
    )
    assert tuple(counts[0]) == (1000, 1000, 1)
    outcomes = await studio.release(studio.bob, *(result.lock for result in response.results))
    assert outcomes == ["RELEASED"] * 1000


async def test_paths_are_taken_in_their_canonical_form(studio: Studio) -> None:
    decomposed, composed = "e\u0301.png", "\u00e9.png"
    response = await studio.acquire(studio.bob, decomposed)
    assert response.results[0].path == composed
    assert response.results[0].lock.path == composed
    again = await studio.acquire(studio.bob, composed)
    assert again.results[0].already_held
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await studio.acquire(studio.bob, composed, decomposed)
    assert refusal.detail(BadRequest).field_violations[0].field == "paths[1]"
    await studio.take(studio.bob, "p" * 1024)


MALFORMED: list[tuple[dict[str, Any], str]] = [
        ({"paths": []}, "paths"),
        *(
            ({"paths": ["fine", path]}, "paths[1]")
            for path in (
                "", "/abs", "a//b", "a/./b", "./a", "../a", "a/..", "a\\b", "a\0b", "/", ".", "a//",
                "p" * 1025, "\u00e9" * 513,
            )
        ),
        ({"paths": ["a", "b", "a"]}, "paths[2]"),
        ({"paths": ["a/", "a/"]}, "paths[1]"),
        *(
            ({"ttl": ttl}, "ttl")
            for ttl in (
                Duration(),
                Duration(seconds=-1),
                Duration(seconds=9, nanos=999_999_999),
                Duration(seconds=7 * 86400, nanos=1000),
                Duration(seconds=315_576_000_000),
                Duration(seconds=20, nanos=-1),
                Duration(seconds=20, nanos=1_000_000_000),
            )
        ),
        ({"type": 9}, "type"),
        ({"batch_mode": 9}, "batch_mode"),
        ({"reason": "r" * 1025}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"base_commit": "main"}, "base_commit"),
        ({"base_commit": "A" * 64}, "base_commit"),
        ({"branch": "no spaces"}, "branch"),
        ({"steal_lock_ids": ["x"]}, "steal_lock_ids[0]"),
]  # fmt: skip


async def test_malformed_fields_are_named(studio: Studio, subtests: pytest.Subtests) -> None:
    for fields, field in MALFORMED:
        with (
            subtests.test(fields=fields),
            refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal,
        ):
            await studio.acquire(studio.bob, *fields.pop("paths", ["a"]), **fields)
        assert refusal.detail(BadRequest).field_violations[0].field == field
    assert await studio.paths() == []


async def test_the_limits_themselves_are_allowed(studio: Studio) -> None:
    for ttl in (Duration(seconds=10), Duration(seconds=7 * 86400)):
        lock = await studio.take(studio.bob, f"t{ttl.seconds}", ttl=ttl, reason="r" * 1024)
        span = lock.expire_time.ToDatetime() - lock.lock_time.ToDatetime()
        assert span == ttl.ToTimedelta()


async def test_a_batch_has_a_thousand_paths_at_most(studio: Studio) -> None:
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await studio.acquire(studio.bob, *(f"p{i}" for i in range(1001)))
    assert refusal.metadata == {"field": "paths", "limit": "1000", "count": "1001"}
    assert refusal.detail(QuotaFailure).violations[0].subject == "paths"
    ids = [f"00000000-0000-0000-0000-{i:012}" for i in range(101)]
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await studio.acquire(studio.bob, "a", steal_lock_ids=ids)


async def test_who_may_take_locks(studio: Studio) -> None:
    api, repo = studio.api, studio.repo
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING") as refusal:
        await studio.acquire(studio.dan, "a")
    assert refusal.metadata == {"required": "WRITE", "held": "READ"}
    stranger = await api.account()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await studio.acquire(stranger, "a")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        request = pb.AcquireLocksRequest(repository=f"{studio.ada.username}/nothing", paths=["a"])
        await api.locks.AcquireLocks(request, metadata=studio.ada.auth)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.locks.AcquireLocks(pb.AcquireLocksRequest(repository=repo.id, paths=["a"]))
    reader = await api.api_token(studio.bob, "repo:read")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await studio.acquire(reader, "a")
    for scope in ("lock:write", "repo:write"):
        await studio.acquire(await api.api_token(studio.bob, scope), "a")


async def test_a_read_only_repository_gives_no_locks_but_lets_them_go(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a")
    other = await studio.take(studio.cyn, "b")
    await studio.api.fetch(
        "UPDATE repositories SET archived = true WHERE id = $1::uuid", studio.repo.id
    )
    # The answers that the service remembers are dropped by a notification: ask until it has come.
    with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
        for i in range(1000):
            await studio.acquire(studio.bob, f"c{i}")
    with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
        await studio.renew(studio.bob, lock)
    with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
        await studio.transfer(studio.bob, lock, studio.cyn)
    assert await studio.release(studio.bob, lock) == ["RELEASED"]
    assert (await studio.force(studio.ada, other, "archived")).lock.id == other.id


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
