"""Pushes, moves and deletions of branches while all that nothing reaches goes at once."""

from __future__ import annotations

import asyncio
import random

import grpc
import pytest
from dits.repo.v1.manifest_pb2 import CommitContent

from shared.formats.commits import commit_hash
from tests.support.api import Api, read_error
from tests.support.branches import Branches
from tests.support.release import assert_whole, count_rows, release_now
from tests.support.trees import Tree, build, commit, push, update, upload

# Why a call may fail while others move refs and history goes.
EXPECTED = {
    "NOT_FOUND",
    "HISTORY_MISSING",
    "HEAD_MOVED",
    "NAME_TAKEN",
    "CONTENTION",
    "CHUNKS_MISSING",
}


class Rival:
    """Somebody who does what they like with their own branches, on everybody's commits."""

    def __init__(
        self, on: Branches, name: str, seed: int, known: list[str], trees: list[Tree]
    ) -> None:
        self._on = on
        self._name = name
        self._random = random.Random(seed)
        self._known = known
        self._trees = trees
        self._head = ""

    async def act(self, count: int) -> None:
        """Does some things, one after the other."""
        acts = (self._push, self._push, self._move, self.delete)
        for _ in range(count):
            try:
                await self._random.choice(acts)()
            except grpc.aio.AioRpcError as error:
                assert read_error(error).reason in EXPECTED, error

    async def _push(self) -> None:
        parents = self._random.sample(self._known, min(len(self._known), self._random.randrange(3)))
        tree = self._random.choice(self._trees)
        made = commit(tree, *parents)
        parts = [tree] if self._random.random() < 0.7 else []
        await self._set(commit_hash(made), [made], parts)
        self._known.append(commit_hash(made))

    async def _move(self) -> None:
        if self._known:
            await self._set(self._random.choice(self._known[-6:]), [], [])

    async def _set(self, head: str, commits: list[CommitContent], parts: list[Tree]) -> None:
        move = update(self._name, self._head, head, force=True)
        await push(self._on.api, self._on.who, self._on.repository, commits, [move], parts)
        self._head = head

    async def delete(self) -> None:
        """Deletes its branch, if there is one."""
        if self._head:
            await self._on.delete(self._name, self._head)
            self._head = ""


async def storm(api: Api, seed: int, count: int) -> None:
    """Some people push, move and delete while all that nothing reaches goes at once."""
    on = await Branches.open(api)
    trees = [build({f"a/{n}/{n}": b"%d" % n, f"a/{n // 2}/x": b"x", "y": b"y"}) for n in range(6)]
    for tree in trees:
        await upload(api, on.who, on.repository, tree.chunks)
    known: list[str] = []
    rivals = [Rival(on, f"b{n}", seed * 10 + n, known, trees) for n in range(3)]
    acting = asyncio.gather(*(rival.act(count) for rival in rivals))
    while not acting.done():
        await release_now(api, on.repository.id)
        await assert_whole(api, on.repository.id)
    await acting
    for rival in rivals:
        await rival.delete()
    assert await release_now(api, on.repository.id)
    rows = await count_rows(api, on.repository.id)
    assert not any(rows.values()), rows


async def test_pushes_and_releases_at_once(api: Api) -> None:
    await storm(api, 1, 12)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
async def test_pushes_and_releases_at_once_for_long(api: Api, seed: int) -> None:
    await storm(api, seed, 150)
