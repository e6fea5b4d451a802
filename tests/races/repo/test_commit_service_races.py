"""Pushes that meet: with another push, and with a lock."""

from __future__ import annotations

import asyncio

import grpc
from dits.lock.v1.lock_service_pb2 import AcquireLocksResponse
from grpc import StatusCode

from shared.formats.commits import commit_hash
from tests.support.api import Api, read_error
from tests.support.branches import read_head
from tests.support.counters import assert_counters, count_history
from tests.support.locks import Studio
from tests.support.trees import build, commit, push_commit, save, upload

FILES: dict[str, bytes | str] = {"a.blend": b"1", "shots/1.exr": b"2", "shots/2.exr": b"3"}


async def test_of_two_pushes_from_one_head_one_wins(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, FILES)
    attempts = [
        save(api, ada, repository, {**FILES, "n": str(n).encode()}, parent=first) for n in range(4)
    ]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    winners = [r for r in results if isinstance(r, str)]
    losers = [r for r in results if isinstance(r, grpc.aio.AioRpcError)]
    assert len(winners) == 1
    assert {error.code() for error in losers} == {StatusCode.ABORTED}
    assert await read_head(api, ada, repository) == winners[0]
    assert (await count_history(api.dsn))["commits"] == 2
    await assert_counters(api.dsn)


async def test_a_lock_and_a_push_at_once_never_both_win(api: Api) -> None:
    """In both orders: a push that succeeded after the lock was granted would be lost work."""
    studio = await Studio.open(api)
    ada, bob, repository = studio.ada, studio.bob, studio.repo
    head = await save(api, ada, repository, FILES)
    for round_number in range(6):
        tree = build({**FILES, "a.blend": b"round %d" % round_number})
        await upload(api, ada, repository, tree.chunks)
        made = commit(tree, head)
        pushing = push_commit(api, ada, repository, made, tree, expected=head)
        locking = studio.acquire(bob, "a.blend")
        pair = (pushing, locking) if round_number % 2 else (locking, pushing)
        results = await asyncio.gather(*pair, return_exceptions=True)
        pushed, locked = results if round_number % 2 else results[::-1]
        assert isinstance(locked, AcquireLocksResponse), "a push takes no lock away"
        lock = locked.results[0].lock
        if isinstance(pushed, grpc.aio.AioRpcError):
            assert read_error(pushed).reason == "LOCK_HELD"
        else:
            head = commit_hash(made)
            moved = await api.value("SELECT pushed_at FROM repositories")
            assert moved is not None
            # The push was judged before the lock was granted.
            granted = lock.lock_time.ToDatetime(moved.tzinfo)
            assert await api.value(
                "SELECT created_at < $1 FROM commits WHERE hash = $2", granted, head
            )
        await studio.release(bob, lock)
