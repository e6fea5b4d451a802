"""Transferring locks, and releasing locks of other users by force."""

from __future__ import annotations

from uuid import uuid4

from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from tests.support.api import refused
from tests.support.locks import ADVISORY, EXCLUSIVE, SHARED, Studio


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


async def test_a_lock_is_transferred(studio: Studio) -> None:
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


async def test_an_administrator_transfers_locks_of_other_users(studio: Studio) -> None:
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


async def test_to_whom_a_lock_can_be_transferred(studio: Studio) -> None:
    lock = await studio.take(studio.bob, "a")
    stranger = await studio.api.account()
    for new_holder in (studio.dan, stranger, studio.bob):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await studio.transfer(studio.bob, lock, new_holder)
        assert refusal.detail(BadRequest).field_violations[0].field == "new_holder"
    await studio.api.fetch("UPDATE users SET status = 'suspended' WHERE id = $1", studio.cyn.id)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await studio.transfer(studio.bob, lock, studio.cyn)
    assert (await studio.list(studio.bob)).locks == [lock]


async def test_what_cannot_be_transferred(studio: Studio) -> None:
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


async def test_no_lock_may_conflict_with_the_new_holders(studio: Studio) -> None:
    folder = await studio.take(studio.bob, "d/")
    inside = await studio.take(studio.bob, "d/x")
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
        await studio.transfer(studio.bob, folder, studio.cyn)
    assert refusal.metadata["lock_id"] == inside.id
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
        await studio.transfer(studio.bob, inside, studio.cyn)
    assert refusal.metadata["lock_id"] == folder.id
    for lock_type in (SHARED, ADVISORY):
        path = f"lock_type{lock_type}"
        mine = await studio.take(studio.bob, path, type=lock_type)
        theirs = await studio.take(studio.cyn, path, type=lock_type)
        with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
            await studio.transfer(studio.bob, mine, studio.cyn)
        assert refusal.metadata["lock_id"] == theirs.id
        await studio.transfer(studio.bob, mine, studio.ada)
