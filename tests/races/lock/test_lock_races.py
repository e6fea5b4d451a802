"""Two calls at once, in both orders: whatever happens is what one after the other would give."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import asyncpg
import grpc
import pytest
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from shared.formats.commits import commit_hash
from tests.support import trees
from tests.support.api import Api, read_error
from tests.support.locks import PER_PATH, SHARED, Studio
from tests.support.waiting import PATIENCE_SECONDS

ROUNDS = 10


@pytest.fixture
async def studio(api: Api) -> Studio:
    return await Studio.open(api)


async def at_once(number: int, *calls: Awaitable[Any]) -> list[Any]:
    """The results of calls started together, errors by their reason; odd numbers start last first."""
    order = list(calls) if number % 2 == 0 else list(reversed(calls))
    done = await asyncio.gather(*order, return_exceptions=True)
    results = list(done) if number % 2 == 0 else list(reversed(done))
    for i, result in enumerate(results):
        if isinstance(result, grpc.aio.AioRpcError):
            results[i] = read_error(result).reason
        elif isinstance(result, BaseException):
            raise result
    return results


async def test_one_of_two_gets_the_lock(studio: Studio) -> None:
    for number in range(ROUNDS):
        path = f"p{number}"
        results = await at_once(
            number, studio.acquire(studio.bob, path), studio.acquire(studio.cyn, path)
        )
        assert results.count("LOCK_HELD") == 1


async def test_file_or_directory(studio: Studio) -> None:
    for number in range(ROUNDS):
        results = await at_once(
            number,
            studio.acquire(studio.bob, f"d{number}/", batch_mode=PER_PATH),
            studio.acquire(studio.cyn, f"d{number}/a/b", batch_mode=PER_PATH),
        )
        assert [r.results[0].WhichOneof("outcome") for r in results].count("lock") == 1


async def test_many_share_or_one_excludes_them(studio: Studio) -> None:
    for number in range(ROUNDS):
        path = f"p{number}"
        shared, other, exclusive = await at_once(
            number,
            studio.acquire(studio.bob, path, type=SHARED),
            studio.acquire(studio.cyn, path, type=SHARED),
            studio.acquire(studio.ada, path),
        )
        if exclusive == "LOCK_HELD":
            assert "LOCK_HELD" not in (shared, other)
        else:
            assert (shared, other) == ("LOCK_HELD", "LOCK_HELD")


async def test_batches_in_opposite_order_do_not_block_each_other(studio: Studio) -> None:
    paths = [f"p{i:03}" for i in range(200)]
    for number in range(ROUNDS):
        results = await at_once(
            number,
            studio.acquire(studio.bob, *paths),
            studio.acquire(studio.cyn, *reversed(paths)),
        )
        assert results.count("LOCK_HELD") == 1
        [won] = [result for result in results if result != "LOCK_HELD"]
        owner = studio.bob if won is results[0] else studio.cyn
        await studio.release(owner, *(result.lock for result in won.results))


async def test_the_same_call_twice_at_once_gives_one_lock(studio: Studio) -> None:
    for number in range(ROUNDS):
        one, other = await at_once(
            number, *(studio.acquire(studio.bob, f"p{number}", f"q{number}") for _ in range(2))
        )
        assert [r.lock.id for r in one.results] == [r.lock.id for r in other.results]
        assert one.results[0].already_held != other.results[0].already_held


async def test_a_lock_is_released_once(studio: Studio) -> None:
    for number in range(ROUNDS):
        lock = await studio.take(studio.bob, "a")
        _, _, force = await at_once(
            number,
            studio.release(studio.bob, lock),
            studio.release(studio.bob, lock),
            studio.force(studio.ada, lock, "now"),
        )
        story = await studio.story(lock)
        assert len(story) == 2
        assert force.already_ended == (story[1] == "released")


async def test_renewal_against_theft(studio: Studio) -> None:
    for number in range(ROUNDS):
        lock = await studio.take(studio.bob, "a")
        _, stolen = await at_once(
            number,
            studio.renew(studio.bob, lock, ttl=Duration(seconds=86400), batch_mode=PER_PATH),
            studio.acquire(studio.ada, "a", reason="now", steal_lock_ids=[lock.id]),
        )
        new = stolen.results[0].lock
        assert (await studio.list(studio.ada)).locks == [new]
        await studio.release(studio.ada, new)


async def test_two_thieves(studio: Studio) -> None:
    await studio.api.grant(studio.repo, studio.cyn, "admin")
    for number in range(ROUNDS):
        lock = await studio.take(studio.bob, f"p{number}")
        how = {"reason": "now", "steal_lock_ids": [lock.id]}
        results = await at_once(
            number,
            studio.acquire(studio.ada, lock.path, **how),
            studio.acquire(studio.cyn, lock.path, **how),
        )
        assert results.count("LOCK_HELD") == 1
        assert await studio.story(lock) == ["acquired", "force_released"]


async def test_a_lock_is_transferred_or_released(studio: Studio) -> None:
    for number in range(ROUNDS):
        lock = await studio.take(studio.bob, "a")
        transfer, released = await at_once(
            number, studio.transfer(studio.bob, lock, studio.cyn), studio.release(studio.bob, lock)
        )
        if transfer == "LOCK_STALE":
            assert released == ["RELEASED"]
            assert await studio.paths() == []
        else:
            assert released == ["ALREADY_ENDED"]
            assert await studio.release(studio.cyn, transfer.lock) == ["RELEASED"]


async def test_a_transfer_repeated_at_once_happens_once(studio: Studio) -> None:
    for number in range(ROUNDS):
        lock = await studio.take(studio.bob, "a")
        request_id = f"00000000-0000-0000-0000-{number:012}"
        one, other = await at_once(
            number,
            *(
                studio.transfer(studio.bob, lock, studio.cyn, request_id=request_id)
                for _ in range(2)
            ),
        )
        assert one == other
        await studio.release(studio.cyn, one.lock)


async def test_a_push_or_a_lock_of_another_user(studio: Studio) -> None:
    head = ""
    for number in range(ROUNDS):
        tree = trees.build({"f": str(number)})
        made = trees.commit(tree, *([head] if head else []))
        pushed, locked = await at_once(
            number,
            trees.push_commit(studio.api, studio.bob, studio.repo, made, tree, expected=head),
            studio.acquire(studio.cyn, "f"),
        )
        # The lock is free, so it is taken; the push was before that, or refused.
        lock: pb.Lock = locked.results[0].lock
        branch = await studio.api.value(
            "SELECT head_commit FROM branches WHERE repo_id = $1::uuid", studio.repo.id
        )
        if pushed == "LOCK_HELD":
            assert (branch or "") == head
        else:
            head = commit_hash(made)
            assert branch == head
        assert await studio.release(studio.cyn, lock) == ["RELEASED"]


async def test_a_push_or_a_release_by_the_same_user(studio: Studio) -> None:
    """With a fence shown, the push is before the release, or stale."""
    head = ""
    for number in range(ROUNDS):
        tree = trees.build({"f": str(number)})
        made = trees.commit(tree, *([head] if head else []))
        name = commit_hash(made)
        lock = await studio.take(studio.bob, "f")
        fences = [LockFence(lock_id=lock.id, fence=lock.fence)]
        moves = [trees.update("main", head, name)]
        pushed, released = await at_once(
            number,
            trees.push(studio.api, studio.bob, studio.repo, [made], moves, [tree], locks=fences),
            studio.release(studio.bob, lock),
        )
        assert released == ["RELEASED"]
        assert pushed == "LOCK_STALE" or pushed.refs[0].head == name
        head = head if pushed == "LOCK_STALE" else name


async def test_a_repository_with_many_callers_leaves_others_alone(studio: Studio) -> None:
    """More callers than the pool has connections wait for one mutex; another repository has its own."""
    elsewhere = await Studio.open(studio.api)
    connection = await asyncpg.connect(studio.api.dsn)
    try:
        change = connection.transaction()
        await change.start()
        await connection.execute("SELECT take_lock_mutex($1::uuid)", studio.repo.id)
        waiting = [
            asyncio.create_task(studio.acquire(studio.bob, f"p{i}"))
            for i in range(3 * studio.api.suite._runtime.settings.pool_size)
        ]
        # Twice, so that those who wait have surely come as far as they get.
        for path in ("a", "b"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await elsewhere.take(elsewhere.bob, path)
        assert not any(task.done() for task in waiting)
        await change.commit()
        results = await asyncio.gather(*waiting)
        fences = [response.results[0].lock.fence for response in results]
        assert len(set(fences)) == len(fences)
    finally:
        await connection.close()


async def test_release_of_a_lock_of_others_takes_no_mutex(studio: Studio) -> None:
    """Whoever may read the repository may ask."""
    theirs = await studio.take(studio.bob, "f")
    async with (
        asyncpg.create_pool(studio.api.dsn, min_size=1) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        await connection.execute("SELECT take_lock_mutex($1::uuid)", studio.repo.id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await studio.release(studio.dan, theirs) == ["NOT_FOUND"]
    assert await studio.release(studio.bob, theirs) == ["RELEASED"]
