"""Push and locks: judged in one transaction."""

from __future__ import annotations

import pytest
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.lock.v1 import lock_service_pb2 as lock_pb
from dits.repo.v1 import ref_service_pb2 as ref_pb
from dits.repo.v1.repository_service_pb2 import Repository
from google.rpc.error_details_pb2 import PreconditionFailure
from grpc import StatusCode

from shared.formats.commits import commit_hash
from tests.support.api import Account, Api, refused
from tests.support.tags import move_tag
from tests.support.trees import build, commit, push, push_commit, save, update, upload

FILES: dict[str, bytes | str] = {"a.blend": b"1", "shots/1.exr": b"2", "shots/2.exr": b"3"}


async def acquire(
    api: Api, who: Account, repository: Repository, *paths: str, on_push: bool = False
) -> list[lock_pb.Lock]:
    request = lock_pb.AcquireLocksRequest(
        repository=repository.id, paths=paths, release_on_push=on_push, reason="mine"
    )
    answer = await api.locks.AcquireLocks(request, metadata=who.auth)
    return [result.lock for result in answer.results]


async def people(api: Api, *, must_lock: bool = False) -> tuple[Account, Account, Repository]:
    ada, bob = await api.account("ada"), await api.account("bob")
    repository = await api.repository(ada, must_lock=must_lock)
    await api.grant(repository, bob, "write")
    return ada, bob, repository


@pytest.mark.parametrize(
    ("lock", "change"),
    [
        ("a.blend", {"a.blend": b"new"}),
        ("a.blend", {"a.blend": None}),
        ("shots/", {"shots/1.exr": b"new"}),
        ("shots/", {"shots/3.exr": b"added"}),
        ("new.blend", {"new.blend": b"added"}),
    ],
)
async def test_a_lock_of_another_user_stands_in_the_way(
    api: Api, lock: str, change: dict[str, bytes | None]
) -> None:
    ada, bob, repository = await people(api)
    first = await save(api, ada, repository, FILES)
    (held,) = await acquire(api, bob, repository, lock)
    changed = {k: v for k, v in {**FILES, **change}.items() if v is not None}
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
        await save(api, ada, repository, changed, parent=first)
    assert refusal.metadata["holder"] == "bob"
    assert refusal.metadata["lock_id"] == held.id
    assert refusal.metadata["reason"] == "mine"
    (violation,) = refusal.detail(PreconditionFailure).violations
    assert violation.subject == next(iter(change))
    # The holder may, and others when the lock is gone.
    second = await save(api, bob, repository, changed, parent=first)
    await api.locks.ReleaseLocks(
        lock_pb.ReleaseLocksRequest(repository=repository.id, lock_ids=[held.id]), metadata=bob.auth
    )
    await save(api, ada, repository, FILES, parent=second)


async def test_existing_files_must_be_locked_where_the_repository_says_so(api: Api) -> None:
    ada, _, repository = await people(api, must_lock=True)
    first = await save(api, ada, repository, FILES)
    for change in ({"a.blend": b"new"}, {"shots/1.exr": None}):
        changed = {k: v for k, v in {**FILES, **change}.items() if v is not None}
        with refused(StatusCode.FAILED_PRECONDITION, "LOCK_REQUIRED") as refusal:
            await save(api, ada, repository, changed, parent=first)
        assert refusal.metadata == {"count": "1", "path": next(iter(change))}
    second = await save(api, ada, repository, {**FILES, "new": b"1"}, parent=first)
    await acquire(api, ada, repository, "a.blend", "shots/")
    changed = {"a.blend": b"new", "shots/1.exr": b"new", "new": b"1"}
    await save(api, ada, repository, changed, parent=second)


async def test_locks_taken_until_the_push_are_released_by_it(api: Api) -> None:
    ada, _, repository = await people(api)
    first = await save(api, ada, repository, FILES)
    mine, other = await acquire(api, ada, repository, "a.blend", "shots/1.exr", on_push=True)
    tree = build({**FILES, "a.blend": b"new"})
    await upload(api, ada, repository, tree.chunks)
    answer = await push_commit(api, ada, repository, commit(tree, first), tree, expected=first)
    assert list(answer.released_lock_ids) == [mine.id]
    left = await api.locks.ListLocks(
        lock_pb.ListLocksRequest(repository=repository.id), metadata=ada.auth
    )
    assert [lock.id for lock in left.locks] == [other.id]


async def test_a_stale_fence_never_writes(api: Api) -> None:
    ada, _, repository = await people(api)
    first = await save(api, ada, repository, FILES)
    (mine,) = await acquire(api, ada, repository, "a.blend")
    tree = build({**FILES, "a.blend": b"new"})
    await upload(api, ada, repository, tree.chunks)
    made = commit(tree, first)
    moves = [update("main", first, commit_hash(made))]
    good = LockFence(lock_id=mine.id, fence=mine.fence)
    for stale in (LockFence(lock_id=mine.id, fence=mine.fence + 1), good):
        if stale is good:
            await api.fetch("UPDATE locks SET expires_at = locked_at + interval '1 microsecond'")
        with refused(StatusCode.FAILED_PRECONDITION, "LOCK_STALE") as refusal:
            await push(api, ada, repository, [made], moves, [tree], locks=[stale])
        assert refusal.metadata == {"count": "1", "lock_id": mine.id}


async def test_bringing_a_branch_up_to_date_needs_no_locks(api: Api) -> None:
    ada, bob, repository = await people(api, must_lock=True)
    base = await save(api, ada, repository, FILES)
    side = await save(api, ada, repository, {**FILES, "mine": b"1"}, parent=base, branch="main")
    await push(api, ada, repository, [], [update("side", "", base)])
    await acquire(api, bob, repository, "a.blend")
    main = await save(
        api, bob, repository, {**FILES, "mine": b"1", "a.blend": b"bobs"}, parent=side
    )
    # bob still holds a.blend; ada takes over what is on main, and nothing else.
    await push(api, ada, repository, [], [update("side", base, main)])
    # But undoing bob's change on main is an edit of his file.
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
        await push(api, ada, repository, [], [update("main", main, base, force=True)])


async def test_the_work_of_a_holder_on_a_branch_is_not_undone_as_if_it_were_brought_up_to_date(
    api: Api,
) -> None:
    ada, bob, repository = await people(api)
    base = await save(api, ada, repository, FILES)
    await push(api, ada, repository, [], [update("side", "", base)])
    await acquire(api, bob, repository, "a.blend", "new.blend")
    bobs = {**FILES, "a.blend": b"bobs", "new.blend": b"bobs"}
    side = await save(api, bob, repository, bobs, parent=base, branch="side")
    move = ref_pb.UpdateBranchRequest(
        repository=repository.id, name="side", expected_head=side, new_head=base, force=True
    )
    main = await save(api, ada, repository, {**FILES, "free": b"1"}, parent=base)
    for work in (
        save(
            api, ada, repository, {**bobs, "a.blend": FILES["a.blend"]}, parent=side, branch="side"
        ),
        save(api, ada, repository, {**FILES, "new.blend": b"bobs"}, parent=side, branch="side"),
        save(api, ada, repository, {**FILES, "a.blend": b"bobs"}, parent=side, branch="side"),
        push(api, ada, repository, [], [update("side", side, main, force=True)]),
        api.refs.UpdateBranch(move, metadata=ada.auth),
    ):
        with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
            await work
    # The holder may; and then the branch has no edits that it could lose.
    last = await save(api, bob, repository, FILES, parent=side, branch="side")
    main = await save(api, bob, repository, {**bobs, "free": b"1"}, parent=main)
    await push(api, ada, repository, [], [update("side", last, main, force=True)])


async def test_creating_a_branch_is_judged_like_a_push(api: Api) -> None:
    ada, bob, repository = await people(api)
    first = await save(api, ada, repository, FILES)
    second = await save(api, ada, repository, {**FILES, "a.blend": b"2"}, parent=first)
    await push(api, ada, repository, [], [update("main", second, first, force=True)])
    await acquire(api, bob, repository, "a.blend")
    create = ref_pb.CreateBranchRequest(repository=repository.id, name="side", head=second)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
        await api.refs.CreateBranch(create, metadata=ada.auth)
    await api.refs.CreateBranch(create, metadata=bob.auth)
    # What a branch has already is no change.
    create.name = "another"
    await api.refs.CreateBranch(create, metadata=ada.auth)


async def test_what_only_a_tag_reaches_is_judged_when_a_branch_comes_to_it(api: Api) -> None:
    ada, bob, repository = await people(api)
    first = await save(api, ada, repository, FILES, branch="dev")
    (tree, later) = build({**FILES, "a.blend": b"2"}), build({**FILES, "a.blend": b"2", "b": b"3"})
    await upload(api, ada, repository, tree.chunks | later.chunks)
    await acquire(api, bob, repository, "a.blend")
    second = commit(tree, first)
    name = commit_hash(second)
    await push(api, ada, repository, [second], [move_tag("t", "", name)], [tree])
    third = commit(later, name)
    create = ref_pb.CreateBranchRequest(repository=repository.id, name="main", head=name)
    for call in (
        push(api, ada, repository, [], [update("side", "", name)]),
        push(api, ada, repository, [third], [update("side", "", commit_hash(third))], [later]),
        # It is not up to date with a default branch that it makes itself.
        api.refs.CreateBranch(create, metadata=ada.auth),
    ):
        with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
            await call
    await push(api, bob, repository, [], [update("main", "", name)])
    await push(api, ada, repository, [third], [update("side", "", commit_hash(third))], [later])
