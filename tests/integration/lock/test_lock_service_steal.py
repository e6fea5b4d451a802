"""Taking the place of other people's locks."""

from __future__ import annotations

from uuid import uuid4

from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from tests.support.api import refused
from tests.support.locks import ADVISORY, PER_PATH, SHARED, Studio


async def test_an_administrator_takes_a_lock_over(studio: Studio) -> None:
    theirs = await studio.take(studio.bob, "a", reason="mine")
    mine = await studio.take(studio.ada, "a", reason="bob is away", steal_lock_ids=[theirs.id])
    assert mine.fence > theirs.fence
    assert await studio.paths() == ["a"]
    assert await studio.story(theirs) == ["acquired", "force_released"]
    end = (await studio.history(studio.ada, lock_id=theirs.id)).entries[0]
    assert (end.actor, end.reason, end.time) == (
        studio.ada.username,
        "bob is away",
        mine.lock_time,
    )
    [(kind, title)] = await studio.notifications(studio.bob)
    assert kind == "lock.stolen"
    assert studio.ada.username in title
    assert "a" in title
    assert await studio.audited("lock.stolen") == 1
    assert [kind for kind, _ in await studio.events()] == [
        "lock.acquired",
        "lock.stolen",
        "lock.acquired",
    ]
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_STALE"):
        await studio.renew(studio.bob, theirs)
    # Once more, as after an answer that was lost.
    again = await studio.acquire(studio.ada, "a", reason="again", steal_lock_ids=[theirs.id])
    assert again.results[0].already_held
    assert again.results[0].lock == mine


async def test_only_administrators_steal(studio: Studio) -> None:
    theirs = await studio.take(studio.bob, "a")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING") as refusal:
        await studio.acquire(studio.cyn, "a", reason="now", steal_lock_ids=[theirs.id])
    assert refusal.metadata["required"] == "ADMIN"
    token = await studio.api.api_token(studio.ada, "lock:write", "repo:write")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
        await studio.acquire(token, "a", reason="now", steal_lock_ids=[theirs.id])
    assert refusal.metadata["required"] == "repo:admin"
    token = await studio.api.api_token(studio.ada, "repo:admin")
    with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
        await studio.acquire(token, "a", reason="now", steal_lock_ids=[theirs.id])
    operator = await studio.api.api_token(studio.ada, "repo:admin", "site:admin")
    await studio.take(operator, "a", reason="now", steal_lock_ids=[theirs.id])


async def test_locks_of_others_need_sudo(studio: Studio) -> None:
    without = await studio.api.session(studio.ada, sudo=False)
    own, other = await studio.take(without, "own"), await studio.take(without, "other")
    theirs, last = await studio.take(studio.bob, "a"), await studio.take(studio.bob, "b")
    for _ in range(2):
        with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
            await studio.acquire(without, "a", reason="now", steal_lock_ids=[theirs.id])
        with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
            await studio.transfer(without, last, studio.cyn)
    assert await studio.story(theirs) == ["acquired"]
    await studio.take(without, "own", type=SHARED, steal_lock_ids=[own.id])
    await studio.transfer(without, other, studio.cyn)
    await studio.take(studio.ada, "a", reason="now", steal_lock_ids=[theirs.id])
    await studio.transfer(studio.ada, last, studio.cyn)


async def test_a_theft_has_a_reason(studio: Studio) -> None:
    theirs = await studio.take(studio.bob, "a")
    for reason in ("", "  "):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await studio.acquire(studio.ada, "a", reason=reason, steal_lock_ids=[theirs.id])
        assert refusal.detail(BadRequest).field_violations[0].field == "reason"


async def test_only_the_named_locks_are_stolen(studio: Studio) -> None:
    bobs = await studio.take(studio.bob, "a", type=SHARED)
    cyns = await studio.take(studio.cyn, "a", type=SHARED)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
        await studio.acquire(studio.ada, "a", reason="now", steal_lock_ids=[bobs.id])
    assert refusal.metadata["lock_id"] == cyns.id
    assert await studio.story(bobs) == ["acquired"]
    await studio.take(studio.ada, "a", reason="now", steal_lock_ids=[bobs.id, cyns.id])
    assert (
        len(await studio.notifications(studio.bob))
        == len(await studio.notifications(studio.cyn))
        == 1
    )


async def test_a_directory_takes_the_place_of_what_is_below(studio: Studio) -> None:
    below = await studio.acquire(studio.bob, "d/a", "d/b", "d/c/")
    ids = [result.lock.id for result in below.results]
    await studio.take(studio.ada, "d/", reason="moving", steal_lock_ids=ids)
    assert await studio.paths() == ["d/"]
    [(_, title)] = await studio.notifications(studio.bob)
    assert "3 locks" in title
    assert await studio.audited("lock.stolen") == 3


async def test_per_path_ends_only_what_makes_room(studio: Studio) -> None:
    a = await studio.take(studio.bob, "a", type=SHARED)
    b = await studio.take(studio.bob, "b")
    other = await studio.take(studio.cyn, "a", type=SHARED)
    response = await studio.acquire(
        studio.ada, "a", "b", reason="now", steal_lock_ids=[a.id, b.id], batch_mode=PER_PATH
    )
    assert response.results[0].conflict.id == other.id
    assert response.results[1].lock.path == "b"
    assert await studio.story(a) == ["acquired"]
    assert await studio.story(b) == ["acquired", "force_released"]


async def test_what_cannot_be_stolen(studio: Studio) -> None:
    elsewhere = await Studio.open(studio.api)
    foreign = await elsewhere.take(elsewhere.ada, "a")
    for lock_id in (foreign.id, str(uuid4())):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await studio.acquire(studio.ada, "a", reason="now", steal_lock_ids=[lock_id])
    beside = await studio.take(studio.bob, "b")
    advisory = await studio.take(studio.bob, "a", type=ADVISORY)
    own = await studio.take(studio.ada, "a/x")
    for lock in (beside, advisory, own):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await studio.acquire(studio.ada, "a", "a/", reason="now", steal_lock_ids=[lock.id])
        assert refusal.detail(BadRequest).field_violations[0].field == "steal_lock_ids"


async def test_a_lock_that_has_ended_needs_no_theft(studio: Studio) -> None:
    theirs = await studio.take(studio.bob, "a")
    await studio.release(studio.bob, theirs)
    # By a user who could not have stolen it.
    await studio.take(studio.cyn, "a", steal_lock_ids=[theirs.id])
    assert await studio.story(theirs) == ["acquired", "released"]
    assert await studio.notifications(studio.bob) == []
