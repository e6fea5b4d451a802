"""Every kind of event, as it happens: what is stored is the JSON of its message in `event.proto`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from dits.common.v1.event_pb2 import (
    BranchPayload,
    Event,
    EventType,
    LockedPath,
    LockPayload,
    PushPayload,
    RepoPayload,
)
from dits.lock.v1 import lock_service_pb2 as lock_pb
from dits.repo.v1 import ref_service_pb2 as ref_pb
from google.protobuf.duration_pb2 import Duration

from shared.db.pool import Database
from shared.records.events import NAMES, emit, payload_field
from shared.rpc.call import Call
from tests.support.api import Api
from tests.support.locks import SHARED, Studio, make_replica
from tests.support.records import parse_event
from tests.support.trees import save

HOUR = 3600


@pytest.fixture
async def studio(api: Api) -> Studio:
    return await Studio.open(api)


@pytest.fixture
async def database(api: Api) -> AsyncIterator[Database]:
    database = await Database.connect(api.dsn, service="test", size=2)
    yield database
    await database.close()


async def told(studio: Studio) -> list[Event]:
    """The events of the repository in their order."""
    rows = await studio.api.fetch(
        "SELECT type, payload, actor_id FROM events WHERE repo_id = $1::uuid ORDER BY id",
        studio.repo.id,
    )
    events = [parse_event(row["type"], row["payload"]) for row in rows]
    for event, row in zip(events, rows, strict=True):
        event.actor_id = str(row["actor_id"] or "")
    return events


def payload_of(*locks: lock_pb.Lock, cause: str = "") -> LockPayload:
    """What an event tells of locks that were acquired together."""
    first = locks[0]
    return LockPayload(
        locks=[LockedPath(lock_id=lock.id, path=lock.path, fence=lock.fence) for lock in locks],
        type=first.type,
        holder_id=first.holder_id,
        holder=first.holder,
        reason=first.reason,
        lock_time=first.lock_time,
        expire_time=first.expire_time,
        release_on_push=first.release_on_push,
        base_commit=first.base_commit,
        cause=cause,
    )


def created(studio: Studio) -> Event:
    """What should have been told of the repository itself."""
    payload = RepoPayload(owner=studio.ada.username, name=studio.repo.name)
    kind = EventType.EVENT_TYPE_REPO_CREATED
    return Event(type=kind, actor_id=str(studio.ada.id), repo=payload)


async def play_branches(studio: Studio) -> list[Event]:
    """Pushes, creates and deletes a branch; returns what should have been told."""
    api, ada, repo = studio.api, studio.ada, studio.repo
    head = await save(api, ada, repo, {"a": b"a"})
    create = ref_pb.CreateBranchRequest(repository=repo.id, name="cut", head=head)
    await api.refs.CreateBranch(create, metadata=ada.auth)
    delete = ref_pb.DeleteBranchRequest(repository=repo.id, name="cut", expected_head=head)
    await api.refs.DeleteBranch(delete, metadata=ada.auth)
    pushed = [BranchPayload(branch="main", after=head)]
    actor = str(ada.id)
    return [
        Event(
            type=EventType.EVENT_TYPE_PUSH,
            actor_id=actor,
            push=PushPayload(branches=pushed, new_commit_count=1),
        ),
        Event(
            type=EventType.EVENT_TYPE_BRANCH_CREATED,
            actor_id=actor,
            branch=BranchPayload(branch="cut", after=head),
        ),
        Event(
            type=EventType.EVENT_TYPE_BRANCH_DELETED,
            actor_id=actor,
            branch=BranchPayload(branch="cut", before=head),
        ),
    ]


async def play_locks(studio: Studio) -> list[Event]:
    """Does with locks what people can do; returns what should have been told."""
    ada, bob, cyn = studio.ada, studio.bob, studio.cyn
    results = (await studio.acquire(bob, "a", "b/", reason="why", release_on_push=True)).results
    a, b = (result.lock for result in results)
    renewed = (await studio.renew(bob, a, ttl=Duration(seconds=20 * HOUR))).results[0].lock
    await studio.release(bob, a)
    handed_on = (await studio.transfer(bob, b, cyn)).lock
    stolen = await studio.take(ada, "b/", reason="mine", steal_lock_ids=[handed_on.id])
    await studio.force(ada, stolen, "done")
    acquired = EventType.EVENT_TYPE_LOCK_ACQUIRED
    story = [
        (acquired, bob, payload_of(a, b)),
        (EventType.EVENT_TYPE_LOCK_RENEWED, bob, payload_of(renewed)),
        (EventType.EVENT_TYPE_LOCK_RELEASED, bob, payload_of(renewed)),
        (
            EventType.EVENT_TYPE_LOCK_TRANSFERRED,
            bob,
            payload_of(b, cause=f"transferred to {cyn.username}"),
        ),
        (acquired, bob, payload_of(handed_on)),
        (EventType.EVENT_TYPE_LOCK_STOLEN, ada, payload_of(handed_on, cause="mine")),
        (acquired, ada, payload_of(stolen)),
        (EventType.EVENT_TYPE_LOCK_FORCE_RELEASED, ada, payload_of(stolen, cause="done")),
    ]
    return [Event(type=kind, actor_id=str(who.id), lock=payload) for kind, who, payload in story]


async def play_expiry(studio: Studio, database: Database) -> list[Event]:
    """Lets a lock come to its end; returns what should have been told."""
    lock = await studio.take(studio.bob, "c", type=SHARED, ttl=Duration(seconds=HOUR))
    await studio.grow_old(HOUR - 60)
    expiry = make_replica(database).expiry
    await expiry.process_due_locks()
    [aged] = (await studio.list(studio.bob)).locks
    assert aged.id == lock.id
    # Only the database's clock counts: the lock is made older, and the event tells its new times.
    await studio.grow_old(120)
    expired = LockPayload()
    expired.CopyFrom(payload_of(aged))
    for moment in (expired.lock_time, expired.expire_time):
        moment.seconds -= 120
    await expiry.process_due_locks()
    kinds = EventType.EVENT_TYPE_LOCK_EXPIRING, EventType.EVENT_TYPE_LOCK_EXPIRED
    return [
        Event(
            type=EventType.EVENT_TYPE_LOCK_ACQUIRED,
            actor_id=str(studio.bob.id),
            lock=payload_of(lock),
        ),
        Event(type=kinds[0], lock=payload_of(aged)),
        Event(type=kinds[1], lock=expired),
    ]


async def test_every_kind_of_event_is_stored_as_its_message(
    studio: Studio, database: Database
) -> None:
    expected = [created(studio), *await play_branches(studio)]
    expected += await play_locks(studio)
    expected += await play_expiry(studio, database)
    assert await told(studio) == expected
    # The others have tests of their own, beside the RPCs that make them.
    here = {event for event in NAMES if payload_field(event) in {"push", "lock"}}
    assert {event.type for event in expected} == here | {
        EventType.EVENT_TYPE_BRANCH_CREATED,
        EventType.EVENT_TYPE_BRANCH_DELETED,
        EventType.EVENT_TYPE_REPO_CREATED,
    }


async def test_an_event_with_the_payload_of_another_is_refused(
    studio: Studio, database: Database
) -> None:
    repo_id = UUID(studio.repo.id)
    async with database.connection() as connection:
        with pytest.raises(TypeError, match=r"branch\.created has no PushPayload"):
            await emit(
                connection,
                Call("/test", "test"),
                EventType.EVENT_TYPE_BRANCH_CREATED,
                repo_id,
                PushPayload(),
            )
    assert await told(studio) == [created(studio)]


async def test_what_moves_no_branch_is_no_push(studio: Studio) -> None:
    """A push or UpdateBranch that is repeated, or whose branches are there already."""
    api, ada, repo = studio.api, studio.ada, studio.repo
    first = await save(api, ada, repo, {"a": b"1"})
    second = await save(api, ada, repo, {"a": b"2"}, parent=first)
    before = await told(studio)
    update = ref_pb.UpdateBranchRequest(
        repository=repo.id, name="main", expected_head=first, new_head=second
    )
    await api.refs.UpdateBranch(update, metadata=ada.auth)
    assert await told(studio) == before
    update.expected_head, update.new_head, update.force = second, first, True
    for _ in range(2):
        await api.refs.UpdateBranch(update, metadata=ada.auth)
    moved = PushPayload(branches=[BranchPayload(branch="main", before=second, after=first)])
    assert [event.push for event in (await told(studio))[len(before) :]] == [moved]
