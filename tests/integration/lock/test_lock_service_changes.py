"""Renewing, releasing, handing on and taking away."""

from __future__ import annotations

from datetime import UTC, timedelta
from uuid import uuid4

import pytest
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, PreconditionFailure
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.locks import ADVISORY, EXCLUSIVE, PER_PATH, SHARED, Studio


@pytest.fixture
async def studio(api: Api) -> Studio:
    return await Studio.open(api)


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


async def test_an_administrator_releases_by_force(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a", ttl=Duration(seconds=60))
    response = await studio.force(studio.ada, lock, "holiday")
    assert (response.lock.id, response.already_ended) == (lock.id, False)
    assert await studio.story(lock) == ["acquired", "force_released"]
    end = (await studio.history(studio.ada, lock_id=lock.id)).entries[0]
    assert (end.actor, end.reason) == (studio.ada.username, "holiday")
    [(kind, title)] = await studio.notifications(studio.bob)
    assert (kind, studio.ada.username in title) == ("lock.force_released", True)
    assert await studio.audited("lock.force_released") == 1
    assert (await studio.events())[-1] == ("lock.force_released", ["a"])
    again = await studio.force(studio.ada, lock, "holiday")
    assert (again.HasField("lock"), again.already_ended) == (False, True)
    late = await studio.take(studio.bob, "a", ttl=Duration(seconds=10))
    await studio.pass_time(10)
    assert (await studio.force(studio.ada, late, "holiday")).already_ended
    assert await studio.audited("lock.force_released") == 1
    assert len(await studio.notifications(studio.bob)) == 1


async def test_force_needs_the_right_and_a_reason(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a")
    for user in (studio.cyn, studio.bob):
        with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING") as refusal:
            await studio.force(user, lock, "now")
        assert refusal.metadata == {"required": "ADMIN", "held": "WRITE"}
    token = await studio.api.api_token(studio.ada, "lock:write", "repo:write")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await studio.force(token, lock, "now")
    for reason in ("", " ", "r" * 1025, "a\0"):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await studio.force(studio.ada, lock, reason)
    elsewhere = await Studio.open(studio.api)
    foreign = await elsewhere.take(elsewhere.bob, "a")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await studio.force(studio.ada, foreign, "now")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await studio.force(studio.ada, pb.Lock(id="x"), "now")
    assert await studio.paths() == ["a"]


async def test_a_lock_is_handed_on(studio: Studio) -> None:
    base = "ab" * 32
    lock = await studio.take(studio.bob, "a/", reason="lighting", release_on_push=True)
    await studio.api.fetch("UPDATE locks SET locked_at_commit = $1", base)
    response = await studio.transfer(studio.bob, lock, studio.cyn)
    new = response.lock
    assert (new.holder, new.ours, new.path, new.type) == (
        studio.cyn.username,
        False,
        "a/",
        EXCLUSIVE,
    )
    assert (new.reason, new.release_on_push, new.base_commit) == ("lighting", True, base)
    assert new.fence > lock.fence
    assert new.id != lock.id
    assert new.expire_time == lock.expire_time
    assert new.lock_time == response.server_time
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_STALE"):
        await studio.renew(studio.bob, lock)
    assert await studio.release(studio.cyn, new) == ["RELEASED"]
    assert await studio.story(lock) == ["acquired", "released"]
    end, _ = (await studio.history(studio.ada, lock_id=lock.id)).entries
    assert end.reason == f"transferred to {studio.cyn.username}"
    assert [kind for kind, _ in await studio.events()][1:3] == [
        "lock.transferred",
        "lock.acquired",
    ]
    assert [kind for kind, _ in await studio.notifications(studio.cyn)] == ["lock.transferred"]
    assert await studio.notifications(studio.bob) == []
    assert await studio.audited("lock.transferred") == 0


async def test_an_administrator_hands_on_other_peoples_locks(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await studio.transfer(studio.cyn, lock, studio.cyn)
    new = (await studio.transfer(studio.ada, lock, studio.cyn)).lock
    assert await studio.story(lock) == ["acquired", "force_released"]
    assert (
        len(await studio.notifications(studio.bob))
        == len(await studio.notifications(studio.cyn))
        == 1
    )
    assert await studio.audited("lock.transferred") == 1
    to_me = (await studio.transfer(studio.ada, new, studio.ada)).lock
    assert to_me.ours
    assert await studio.notifications(studio.ada) == []


async def test_a_transfer_is_repeated_by_its_request_id(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a")
    request_id = str(uuid4())
    first = await studio.transfer(studio.bob, lock, studio.cyn, request_id=request_id)
    assert await studio.transfer(studio.bob, lock, studio.cyn, request_id=request_id) == first
    with refused(StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await studio.transfer(studio.bob, lock, studio.ada, request_id=request_id)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_STALE"):
        await studio.transfer(studio.bob, lock, studio.cyn)


async def test_to_whom_a_lock_can_be_handed_on(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a")
    stranger = await studio.api.account()
    for heir in (studio.dan, stranger, studio.bob):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await studio.transfer(studio.bob, lock, heir)
        assert refusal.detail(BadRequest).field_violations[0].field == "new_holder"
    await studio.api.fetch("UPDATE users SET status = 'suspended' WHERE id = $1", studio.cyn.id)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await studio.transfer(studio.bob, lock, studio.cyn)
    assert (await studio.list(studio.bob)).locks == [lock]


async def test_what_cannot_be_handed_on(studio: Studio) -> None:
    late = await studio.take(studio.bob, "late", ttl=Duration(seconds=10))
    await studio.pass_time(10)
    live = await studio.take(studio.bob, "live")
    elsewhere = await Studio.open(studio.api)
    foreign = await elsewhere.take(elsewhere.bob, "a")
    for lock in (late, pb.Lock(id=live.id, fence=live.fence + 1)):
        with refused(StatusCode.FAILED_PRECONDITION, "LOCK_STALE"):
            await studio.transfer(studio.bob, lock, studio.cyn)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await studio.transfer(studio.bob, foreign, studio.cyn)
    for lock in (pb.Lock(id="x", fence=1), pb.Lock(id=live.id)):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await studio.transfer(studio.bob, lock, studio.cyn)


async def test_nothing_may_stand_in_the_way_of_the_new_holder(studio: Studio) -> None:
    folder = await studio.take(studio.bob, "d/")
    inside = await studio.take(studio.bob, "d/x")
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
        await studio.transfer(studio.bob, folder, studio.cyn)
    assert refusal.metadata["lock_id"] == inside.id
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
        await studio.transfer(studio.bob, inside, studio.cyn)
    assert refusal.metadata["lock_id"] == folder.id
    for mode in (SHARED, ADVISORY):
        path = f"mode{mode}"
        mine = await studio.take(studio.bob, path, type=mode)
        theirs = await studio.take(studio.cyn, path, type=mode)
        with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
            await studio.transfer(studio.bob, mine, studio.cyn)
        assert refusal.metadata["lock_id"] == theirs.id
        await studio.transfer(studio.bob, mine, studio.ada)
