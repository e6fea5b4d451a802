"""MergeBranches is held to what a push is held to: locks, protection, settings, an archived repository."""

from __future__ import annotations

from typing import Any

from dits.common.v1.lock_fence_pb2 import LockFence
from dits.lock.v1 import lock_service_pb2 as lock_pb
from dits.repo.v1.ref_protection_pb2 import BranchProtection, RestrictedPaths
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.branches import Branches, members
from tests.support.counters import count_history
from tests.support.merges import BASE, OURS, Merges, side


async def take(merges: Merges, who: Account, path: str, **fields: Any) -> lock_pb.Lock:
    """A lock on a path."""
    request = lock_pb.AcquireLocksRequest(repository=merges.repository.id, paths=[path], **fields)
    answer = await merges.api.locks.AcquireLocks(request, metadata=who.auth)
    lock: lock_pb.Lock = answer.results[0].lock
    return lock


async def test_locks_of_others_forbid_what_changes_in_the_target(api: Api) -> None:
    merges = await Merges.open(api)
    bob = await api.account("bob")
    await api.grant(merges.repository, bob, "write")
    await merges.save({**BASE, "a": b"2"})
    await merges.save({**BASE, "a": b"3", "b": b"3"}, branch="side")
    await take(merges, bob, "a", reason="mine")
    await take(merges, bob, "d/")
    found = await merges.merge(validate_only=True)
    (conflict,) = found.conflicts
    assert [(lock.path, lock.holder) for lock in conflict.locks] == [("a", "bob")]
    before = await count_history(api.dsn)
    for dry in (True, False):
        # `a` stays as it is; `b` is free.
        lock = await take(merges, bob, "b")
        with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
            await merges.merge(resolutions=[side("a", OURS)], validate_only=dry)
        assert (refusal.metadata["path"], refusal.metadata["holder"]) == ("b", "bob")
        release = lock_pb.ReleaseLocksRequest(repository=merges.repository.id, lock_ids=[lock.id])
        await api.locks.ReleaseLocks(release, metadata=bob.auth)
        assert await count_history(api.dsn) == before
    dry_run = await merges.merge(resolutions=[side("a", OURS)], validate_only=True)
    assert await count_history(api.dsn) == before
    done = await merges.merge(resolutions=[side("a", OURS)])
    assert done.outcome == dry_run.outcome


async def test_where_locks_are_required_the_merger_has_them(api: Api) -> None:
    merges = await Merges.open(api, must_lock=True)
    await take(merges, merges.who, "a", release_on_push=True)
    await merges.save({**BASE, "a": b"2"}, branch="side")
    await merges.save({**BASE, "new": b"1"})
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_REQUIRED") as refusal:
        await merges.merge()
    assert refusal.metadata["path"] == "a"
    lock = await take(merges, merges.who, "a", release_on_push=True)
    stale = LockFence(lock_id=lock.id, fence=lock.fence + 1)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_STALE"):
        await merges.merge(locks=[stale])
    held = LockFence(lock_id=lock.id, fence=lock.fence)
    done = await merges.merge(locks=[held])
    assert list(done.released_lock_ids) == [lock.id]
    # What only becomes as it is on the default branch needs no lock.
    await merges.merge(target="side", source="main")


async def test_protection_and_settings_hold_for_what_a_merge_brings(api: Api) -> None:
    merges = await Merges.open(api)
    bob = await api.account()
    await api.grant(merges.repository, bob, "write")
    branches = Branches(api, merges.repository, merges.who)
    await merges.save({**BASE, "new": b"1"})
    await merges.save({**BASE, "d/e": b"2"}, branch="side")
    restricted = RestrictedPaths(patterns=["d/"], allowed=members(merges.who.id))
    await branches.protect(BranchProtection(restricted_paths=[restricted]))
    for dry in (True, False):
        with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
            await merges.merge(who=bob, validate_only=dry)
        assert refusal.metadata["path"] == "d/e"
    await branches.protect(BranchProtection(require_linear_history=True))
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED"):
        await merges.merge()
    await branches.protect(BranchProtection())
    await api.fetch("UPDATE repository_settings SET allowed_extensions = '{txt}'")
    with refused(StatusCode.FAILED_PRECONDITION, "FILE_REFUSED"):
        await merges.merge()
    await api.fetch("UPDATE repository_settings SET allowed_extensions = NULL")
    await api.fetch("UPDATE repositories SET archived = true")
    for dry in (True, False):
        with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
            await merges.merge(validate_only=dry)
    await api.fetch("UPDATE repositories SET archived = false")
    reader = await api.account()
    await api.grant(merges.repository, reader, "read")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await merges.merge(who=reader)
    await merges.merge()
