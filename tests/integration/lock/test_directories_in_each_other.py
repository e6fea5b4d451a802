"""Many directories at once, some in others: each meets the first lock that covers it or lies below it."""

from __future__ import annotations

import itertools
import random

import pytest
from dits.lock.v1 import lock_service_pb2 as pb

from tests.linearizability import lock_model
from tests.support.locks import ADVISORY, EXCLUSIVE, PER_PATH, SHARED, Studio

NAMES = [
    "/".join(parts) + end
    for length in (1, 2, 3)
    for parts in itertools.product(("a", "a-", "a0", "b"), repeat=length)
    for end in ("", "/")
]


def find_met(theirs: list[pb.Lock], path: str) -> str:
    """The id of the first lock by path and fence that keeps `path` from being locked exclusively."""
    met = [lock for lock in theirs if lock_model.overlap(lock.path, path)]
    met.sort(key=lambda lock: (lock.path.encode(), lock.fence))
    return met[0].id if met else ""


@pytest.mark.parametrize("seed", range(8))
async def test_each_meets_the_first_lock(studio: Studio, seed: int) -> None:
    chance = random.Random(seed)
    await studio.acquire(studio.cyn, *chance.sample(NAMES, 12), type=ADVISORY)
    await studio.acquire(studio.ada, *chance.sample(NAMES, 3), type=SHARED)
    await studio.acquire(studio.bob, *chance.sample(NAMES, 3), type=SHARED)
    await studio.acquire(studio.bob, *chance.sample(NAMES, 5), type=EXCLUSIVE, batch_mode=PER_PATH)
    listed = await studio.list(studio.cyn, side=pb.SIDE_THEIRS, page_size=100)
    theirs = [lock for lock in listed.locks if lock.type != ADVISORY]
    asked = chance.sample(NAMES, len(NAMES))
    answer = await studio.acquire(studio.cyn, *asked, batch_mode=PER_PATH)
    found = {result.path: result.conflict.id for result in answer.results}
    assert found == {path: find_met(theirs, path) for path in asked}
