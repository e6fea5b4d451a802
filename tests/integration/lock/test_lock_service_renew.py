"""Renewing locks, and releasing them."""

from __future__ import annotations

from datetime import UTC, timedelta
from uuid import uuid4

import pytest
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, PreconditionFailure
from grpc import StatusCode

from tests.support.api import refused
from tests.support.locks import PER_PATH, Studio


def outcomes(response: pb.RenewLocksResponse) -> list[str]:
    names = [pb.RenewOutcome.Name(result.outcome) for result in response.results]
    return [name.removeprefix("RENEW_OUTCOME_") for name in names]


async def test_a_renewed_lock_lasts_longer_and_never_shorter(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a", ttl=Duration(seconds=60))
    await studio.pass_time(50)
    response = await studio.renew(studio.bob, lock, ttl=Duration(seconds=60))
    renewed = response.results[0].lock
    end = renewed.expire_time.ToDatetime(UTC)
    assert end == response.server_time.ToDatetime(UTC) + timedelta(seconds=60)
    assert (renewed.id, renewed.fence, renewed.lock_time) == (lock.id, lock.fence, lock.lock_time)
    shorter = await studio.renew(studio.bob, lock, ttl=Duration(seconds=10))
    assert shorter.results[0].lock.expire_time == renewed.expire_time
    await studio.pass_time(50)
    assert await studio.paths() == ["a"]
    assert (await studio.events())[1] == ("lock.renewed", ["a"])


async def test_many_locks_are_renewed_in_one_call(studio: Studio) -> None:
    taken = await studio.acquire(studio.bob, *(f"p{i:04}" for i in range(1000)))
    locks = [result.lock for result in taken.results]
    response = await studio.renew(studio.bob, *locks, ttl=Duration(seconds=86400))
    assert outcomes(response) == ["RENEWED"] * 1000
    assert [result.lock_id for result in response.results] == [lock.id for lock in locks]


async def test_a_late_renewal_never_revives(studio: Studio) -> None:
    late = await studio.take(studio.bob, "a", ttl=Duration(seconds=10))
    live = await studio.take(studio.bob, "b")
    await studio.pass_time(10)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_STALE") as refusal:
        await studio.renew(studio.bob, live, late)
    assert refusal.metadata == {"count": "1", "lock_id": late.id}
    assert refusal.detail(PreconditionFailure).violations[0].subject == late.id
    listed = (await studio.list(studio.bob)).locks
    assert [lock.expire_time for lock in listed] == [live.expire_time]
    response = await studio.renew(studio.bob, late, live, batch_mode=PER_PATH)
    assert outcomes(response) == ["STALE", "RENEWED"]
    assert not response.results[0].HasField("lock")
    assert await studio.story(late) == ["acquired", "expired"]
    await studio.take(studio.cyn, "a")


async def test_a_stale_fence_renews_nothing(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a")
    forged = pb.Lock(id=lock.id, fence=lock.fence + 1)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_STALE"):
        await studio.renew(studio.bob, forged)
    assert outcomes(await studio.renew(studio.bob, forged, batch_mode=PER_PATH)) == ["STALE"]
    assert (await studio.list(studio.bob)).locks == [lock]


async def test_whose_locks_can_be_renewed(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a")
    elsewhere = await Studio.open(studio.api)
    foreign = await elsewhere.take(elsewhere.ada, "a")
    unknown = pb.Lock(id=str(uuid4()), fence=1)
    for user, other in ((studio.cyn, lock), (studio.ada, foreign), (studio.bob, unknown)):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await studio.renew(user, other)
        assert outcomes(await studio.renew(user, other, batch_mode=PER_PATH)) == ["NOT_FOUND"]


@pytest.mark.parametrize(
    ("locks", "fields", "field"),
    [
        ([], {}, "locks"),
        ([pb.Lock(id="x", fence=1)], {}, "locks[0]"),
        ([pb.Lock(id=str(uuid4()), fence=0)], {}, "locks[0]"),
        ([pb.Lock(id="0" * 8 + "-0000-0000-0000-" + "0" * 12, fence=1)] * 2, {}, "locks[1]"),
        ([pb.Lock(id=str(uuid4()), fence=1)], {"ttl": Duration(seconds=9)}, "ttl"),
        ([pb.Lock(id=str(uuid4()), fence=1)], {"batch_mode": 7}, "batch_mode"),
    ],
)
async def test_malformed_renewals(
    studio: Studio, locks: list[pb.Lock], fields: dict[str, object], field: str
) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await studio.renew(studio.bob, *locks, **fields)
    assert refusal.detail(BadRequest).field_violations[0].field == field


async def test_release_is_reported_and_can_be_repeated(studio: Studio) -> None:
    a = await studio.take(studio.bob, "a")
    late = await studio.take(studio.bob, "b", ttl=Duration(seconds=10))
    cyns = await studio.take(studio.cyn, "c")
    elsewhere = await Studio.open(studio.api)
    foreign = await elsewhere.take(elsewhere.ada, "a")
    unknown = pb.Lock(id=str(uuid4()))
    await studio.pass_time(10)
    asked = (late, a, cyns, foreign, unknown)
    expected = ["ALREADY_ENDED", "RELEASED", "NOT_FOUND", "NOT_FOUND", "NOT_FOUND"]
    assert await studio.release(studio.bob, *asked) == expected
    assert await studio.release(studio.bob, *asked[:2]) == ["ALREADY_ENDED", "ALREADY_ENDED"]
    assert await studio.story(a) == ["acquired", "released"]
    assert await studio.story(late) == ["acquired", "expired"]
    assert await studio.paths() == ["c"]
    assert (await studio.events())[-2:] == [("lock.expired", ["b"]), ("lock.released", ["a"])]
    upper = pb.Lock(id=a.id.upper())
    assert await studio.release(studio.bob, upper) == ["ALREADY_ENDED"]
    for ids in ([], ["x"], [a.id, a.id.upper()]):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await studio.release(studio.bob, *(pb.Lock(id=lock_id) for lock_id in ids))
