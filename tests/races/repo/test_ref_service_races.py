"""Two callers and one branch: in each order exactly one of them wins, and the other is told why."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from dits.lock.v1.lock_service_pb2 import AcquireLocksRequest, ReleaseLocksRequest
from grpc import StatusCode

from shared.formats.commits import commit_hash
from tests.support.api import Api, refused
from tests.support.branches import Branches
from tests.support.rivals import other_transaction, together
from tests.support.trees import build, commit, push, update, upload
from tests.support.waiting import until_blocked


async def test_of_many_moves_of_a_branch_one_wins(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    tree = build({"a": b"2"})
    await upload(api, branches.who, branches.repository, tree.chunks)
    made = [commit(tree, first) for _ in range(3)]
    heads = [commit_hash(content) for content in made]
    moves = [update(f"b{number}", "", head) for number, head in enumerate(heads)]
    await push(api, branches.who, branches.repository, made, moves, [tree])
    won, reasons = await together(*(branches.update("main", first, head) for head in heads))
    assert (won, reasons) == (1, ["HEAD_MOVED"] * 2)


@pytest.mark.parametrize("commits", [True, False])
async def test_a_branch_that_moves_between_the_two_reads(api: Api, commits: bool) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    third = await branches.save("3", parent=second)
    await branches.create("side", first)
    move = f"UPDATE branches SET head_commit = '{third}' WHERE name = 'side'"
    async with other_transaction(api, move, commits=commits):
        if commits:
            with refused(StatusCode.ABORTED, "HEAD_MOVED") as refusal:
                await branches.update("side", first, second)
            assert refusal.metadata["current"] == third
        else:
            assert (await branches.update("side", first, second)).head == second


@pytest.mark.parametrize("commits", [True, False])
async def test_a_branch_that_is_deleted_between_the_two_reads(api: Api, commits: bool) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    await branches.create("side", first)
    async with other_transaction(api, "DELETE FROM branches WHERE name = 'side'", commits=commits):
        if commits:
            with refused(StatusCode.ABORTED, "HEAD_MOVED") as refusal:
                await branches.update("side", first, second)
            assert refusal.metadata["current"] == ""
        else:
            assert (await branches.update("side", first, second)).head == second


@pytest.mark.parametrize("pushes", [True, False])
async def test_a_move_that_was_done_before_is_not_done_again(api: Api, pushes: bool) -> None:
    """Nothing was to check when the branch was found at its new commit, so nothing may move later."""
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    connection = await asyncpg.connect(api.dsn)
    try:
        async with connection.transaction():
            await connection.execute("UPDATE branches SET head_commit = $1", first)
            if pushes:
                moves = [update("main", first, second)]
                answer = await push(api, branches.who, branches.repository, [], moves)
                assert answer.refs[0].head == second
            else:
                assert (await branches.update("main", first, second)).head == second
    finally:
        await connection.close()
    assert (await branches.get()).head == first


@pytest.mark.parametrize("at", ["the same commit", "another commit", "none"])
async def test_a_branch_that_another_call_is_creating(api: Api, at: str) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    head = second if at == "another commit" else first
    insert = f"""INSERT INTO branches (repo_id, name, head_commit, created_from)
                 VALUES ('{branches.repository.id}', 'side', '{head}', '{head}')"""
    async with other_transaction(api, insert, commits=at != "none"):
        if at == "another commit":
            with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
                await branches.create("side", first)
        else:
            assert (await branches.create("side", first)).head == first


async def test_a_push_to_a_branch_that_another_call_is_creating_learns_where_it_is(
    api: Api,
) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    insert = f"""INSERT INTO branches (repo_id, name, head_commit, created_from)
                 VALUES ('{branches.repository.id}', 'side', '{second}', '{second}')"""
    async with other_transaction(api, insert, commits=True):
        with refused(StatusCode.ABORTED, "HEAD_MOVED") as refusal:
            moves = [update("side", "", first)]
            await push(api, branches.who, branches.repository, [], moves)
    assert refusal.metadata["current"] == second


async def test_of_many_creations_of_a_branch_one_counts(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    won, reasons = await together(*(branches.create("side", first) for _ in range(4)))
    assert (won, reasons) == (4, [])
    calls = (branches.create("other", head) for head in (first, second))
    won, reasons = await together(*calls)
    assert (won, reasons) == (1, ["NAME_TAKEN"])
    assert await api.value("SELECT branch_count FROM repository_stats") == 3


@pytest.mark.parametrize("deletes_first", [True, False])
async def test_of_a_move_and_a_deletion_one_wins(api: Api, deletes_first: bool) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    for number in range(4):
        name = f"b{number}"
        await branches.create(name, first)
        calls = [branches.update(name, first, second), branches.delete(name, first)]
        won, reasons = await together(*(calls[::-1] if deletes_first else calls))
        assert won == 1
        assert set(reasons) <= {"HEAD_MOVED", "NOT_FOUND"}
        left = await api.fetch("SELECT head_commit FROM branches WHERE name = $1", name)
        assert [row[0] for row in left] in ([], [second])


@pytest.mark.parametrize("locks_first", [True, False])
async def test_a_lock_and_a_move_at_once_never_both_win(api: Api, locks_first: bool) -> None:
    branches = await Branches.open(api)
    bob = await api.account()
    await api.grant(branches.repository, bob, "write")
    ends = [await branches.save("1")]
    ends.append(await branches.save("2", parent=ends[0]))
    acquire = AcquireLocksRequest(repository=branches.repository.id, paths=["a"])
    for _ in range(4):
        old, new = (await branches.get()).head, ends[0]
        if old == new:
            new = ends[1]
        await api.fetch("DELETE FROM events")
        moving = branches.update("main", old, new, force=True)
        locking = api.locks.AcquireLocks(acquire, metadata=bob.auth)
        pair: list[Any] = [locking, moving] if locks_first else [moving, locking]
        won, reasons = await together(*pair)
        # The lock is always granted; the move comes before it, or is refused.
        rows = await api.fetch("SELECT type FROM events ORDER BY id")
        types = [row["type"] for row in rows]
        assert (won, reasons, types) in (
            (2, [], ["push", "lock.acquired"]),
            (1, ["LOCK_HELD"], ["lock.acquired"]),
        )
        held = await api.value("SELECT id::text FROM locks")
        release = ReleaseLocksRequest(repository=branches.repository.id, lock_ids=[held])
        await api.locks.ReleaseLocks(release, metadata=bob.auth)


@pytest.mark.parametrize("locks_first", [True, False])
async def test_a_lock_and_a_deletion_at_once_never_both_win(api: Api, locks_first: bool) -> None:
    branches = await Branches.open(api)
    bob = await api.account()
    await api.grant(branches.repository, bob, "write")
    first = await branches.save("1")
    await branches.create("side", first)
    head = await branches.save("2", parent=first, branch="side")
    acquire = AcquireLocksRequest(repository=branches.repository.id, paths=["a"])
    for _ in range(4):
        await api.fetch("DELETE FROM events")
        deleting = branches.delete("side", head)
        locking = api.locks.AcquireLocks(acquire, metadata=bob.auth)
        pair: list[Any] = [locking, deleting] if locks_first else [deleting, locking]
        done, reasons = await together(*pair)
        # The lock is always granted; the deletion comes before it, or is refused.
        types = (
            "SELECT type FROM events WHERE type IN ('branch.deleted', 'lock.acquired') ORDER BY id"
        )
        events = [row["type"] for row in await api.fetch(types)]
        assert (done, reasons, events) in (
            (2, [], ["branch.deleted", "lock.acquired"]),
            (1, ["LOCK_HELD"], ["lock.acquired"]),
        )
        held = await api.value("SELECT id::text FROM locks")
        release = ReleaseLocksRequest(repository=branches.repository.id, lock_ids=[held])
        await api.locks.ReleaseLocks(release, metadata=bob.auth)
        if not reasons:
            await branches.create("side", head)


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
async def test_of_two_branches_with_locked_work_one_stays(api: Api, order: tuple[str, str]) -> None:
    branches = await Branches.open(api)
    bob = await api.account()
    await api.grant(branches.repository, bob, "write")
    first = await branches.save("1")
    await branches.create("one", first)
    head = await branches.save("2", parent=first, branch="one")
    await branches.create("two", head)
    acquire = AcquireLocksRequest(repository=branches.repository.id, paths=["a"])
    await api.locks.AcquireLocks(acquire, metadata=bob.auth)
    slow, quick = order
    connection, observer = await asyncpg.connect(api.dsn), await asyncpg.connect(api.dsn)
    try:
        async with connection.transaction():
            # The deletion has found that the other branch has the work, and waits.
            await connection.execute("SELECT FROM branches WHERE name = $1 FOR UPDATE", slow)
            deletions = [asyncio.ensure_future(branches.delete(slow, head))]
            await until_blocked(observer)
            deletions.append(asyncio.ensure_future(branches.delete(quick, head)))
            both = asyncio.ensure_future(until_blocked(observer, 2))
            await asyncio.wait([both, deletions[1]], return_when=asyncio.FIRST_COMPLETED)
            both.cancel()
        assert await together(*deletions) == (1, ["LOCK_HELD"])
    finally:
        await connection.close()
        await observer.close()
    assert await branches.names() == ["main", quick]
