"""Requests for locks: fields, limits and rights."""

from __future__ import annotations

from typing import Any

import pytest
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, QuotaFailure
from grpc import StatusCode

from tests.support.api import refused
from tests.support.locks import Studio


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


async def test_a_thousand_accented_paths_leave_the_loop_free(studio: Studio) -> None:
    paths = [f"{i:04}" + "o\u0302\u0301" * 298 for i in range(1000)]
    response = await studio.acquire(studio.bob, *paths)
    assert response.results[-1].path == "0999" + "\u1ed1" * 298
    checked = await studio.api.locks.CheckPaths(
        pb.CheckPathsRequest(repository=studio.repo.id, paths=paths), metadata=studio.cyn.auth
    )
    assert all(status.blocked for status in checked.statuses)


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
