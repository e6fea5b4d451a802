"""Which locks cover paths; and answers of the largest size."""

from __future__ import annotations

import random
from typing import cast

import grpc
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.lock.v1 import lock_service_pb2 as pb
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub
from grpc import StatusCode

from tests.support.api import Account, refused
from tests.support.locks import ADVISORY, SHARED, Studio


async def check(studio: Studio, user: Account, *paths: str) -> list[pb.PathStatus]:
    request = pb.CheckPathsRequest(repository=studio.repo.id, paths=paths)
    response = await studio.api.locks.CheckPaths(request, metadata=user.auth)
    return list(response.statuses)


async def test_tells_which_locks_cover_paths(studio: Studio) -> None:
    folder = await studio.take(studio.bob, "d/")
    advisory = await studio.take(studio.cyn, "d/n", type=ADVISORY)
    mine = await studio.take(studio.cyn, "m")
    await studio.acquire(studio.bob, "s", type=SHARED)
    shared = await studio.take(studio.cyn, "s", type=SHARED)
    paths = ["free", "d/n", "d/x/y", "d/", "m", "s", "e\u0301"]
    statuses = await check(studio, studio.cyn, *paths)
    assert [status.path for status in statuses] == [*paths[:-1], "\u00e9"]
    told = [(s.blocked, s.held, s.lock_count, s.lock.id) for s in statuses]
    assert told == [
        (False, False, 0, ""),
        (True, False, 2, folder.id),
        (True, False, 1, folder.id),
        (True, False, 1, folder.id),
        (False, True, 1, mine.id),
        (False, False, 2, (await studio.list(studio.bob, path_prefix="s")).locks[0].id),
        (False, False, 0, ""),
    ]
    assert statuses[4].lock.ours
    assert shared.id != statuses[5].lock.id
    bobs = await check(studio, studio.bob, "d/n", "m")
    assert [(s.blocked, s.held, s.lock_count) for s in bobs] == [(False, True, 2), (True, False, 1)]
    await studio.release(studio.bob, folder)
    assert (await check(studio, studio.cyn, "d/n"))[0].lock == advisory
    for bad in ([], ["/a"], ["a", "a"]):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await check(studio, studio.cyn, *bad)


async def test_the_largest_answers_fit_into_a_default_message(studio: Studio) -> None:
    chosen = random.Random(7)
    reason = "".join(chosen.choice("abcdef") for _ in range(1024))
    paths = [
        f"{i:04}/" + "".join(chosen.choice("abcdef") for _ in range(1019)) for i in range(1000)
    ]
    request = pb.AcquireLocksRequest(
        repository=studio.repo.id, paths=paths, reason=reason, release_on_push=True
    )
    auth = studio.bob.auth
    async with grpc.aio.insecure_channel(studio.api.addresses["lock"]) as channel:
        stub = LockServiceStub(channel)
        watch = stub.Watch(pb.WatchRequest(repository=studio.repo.id), metadata=auth)
        await watch.read()
        taken = await stub.AcquireLocks(request, metadata=auth)
        assert len(taken.results) == 1000
        event = cast(pb.WatchResponse, await watch.read())
        assert len(event.event.locks) == 1000
        watch.cancel()
        repo_id = studio.repo.id
        listed = await stub.ListLocks(
            pb.ListLocksRequest(page_size=1000, repository=repo_id), metadata=auth
        )
        assert len(listed.locks) == 1000
        told = await stub.ListHistory(
            pb.ListHistoryRequest(page_size=1000, repository=repo_id), metadata=auth
        )
        assert len(told.entries) == 1000
        checked = await stub.CheckPaths(
            pb.CheckPathsRequest(paths=paths, repository=repo_id), metadata=auth
        )
        assert all(status.held for status in checked.statuses)
        held = [LockFence(lock_id=r.lock.id, fence=r.lock.fence) for r in taken.results]
        renewed = await stub.RenewLocks(
            pb.RenewLocksRequest(locks=held, repository=repo_id), metadata=auth
        )
        assert len(renewed.results) == 1000
