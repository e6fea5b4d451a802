"""Push: what pushes hold in memory, and how long they keep others waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial

import pytest
from blake3 import blake3
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import CommitContent, File, Recipe
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from services.repo.push.chunk_counts import count_chunks, group_chunks
from services.repo.push.chunk_lists import ChunkLists
from shared.formats.commits import commit_hash
from shared.formats.recipes import RECIPE_CHUNKS
from shared.rpc.byte_budget import ByteBudget
from shared.runtime.config import Settings
from tests.support.api import Api, refused, running_suite
from tests.support.trees import Tree, build, commit, push, push_commit, save, update

COMMITS = 800


async def test_pushes_beyond_the_memory_wait_and_are_refused(
    dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = partial(ByteBudget, wait_seconds=0.2)
    monkeypatch.setattr("services.repo.server.ByteBudget", impatient)
    small = settings.model_copy(update={"push_memory_bytes": 1 << 20})
    async with running_suite(dsn, small) as api:
        ada = await api.account()
        repository = await api.repository(ada)
        is_held, may_end = asyncio.Event(), asyncio.Event()
        tree = build({"a": "b"})
        message = "x" * (200 << 10)
        made = [commit(tree, message=message), commit(tree, message=f"{message}y")]

        async def requests() -> AsyncIterator[pb.PushRequest]:
            yield pb.PushRequest(header=pb.PushHeader(repository=repository.id))
            yield pb.PushRequest(commits=pb.PushCommits(commits=made))
            is_held.set()
            await may_end.wait()

        stream = api.commits.Push(requests(), metadata=ada.auth)
        waiting = asyncio.ensure_future(stream.wait_for_connection())
        await is_held.wait()
        await asyncio.sleep(0.5)
        with refused(StatusCode.RESOURCE_EXHAUSTED, "SERVER_BUSY") as refusal:
            await push_commit(api, ada, repository, made[0], tree)
        assert refusal.detail(RetryInfo).retry_delay.ToTimedelta().total_seconds() > 0
        may_end.set()
        stream.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        # What the broken call held is free.
        await push_commit(api, ada, repository, made[0], tree)


async def test_a_large_push_keeps_nobody_waiting(api: Api) -> None:
    """The watchdog of the tests sees steps that are too long."""
    ada, bob = await api.account(), await api.account()
    repository, other = await api.repository(ada), await api.repository(bob)
    await save(api, bob, other, {"a": "b"})
    contents: list[CommitContent] = []
    made: list[Tree] = []
    head: list[str] = []
    for number in range(COMMITS):
        files = {f"{number % 10}/{n}": str(number) for n in range(60)}
        made.append(build({**files, "top": str(number)}))
        contents.append(commit(made[-1], *head))
        head = [commit_hash(contents[-1])]
    manifests: dict[str, bytes] = {}
    for tree in made:
        manifests |= tree.manifests
    whole = Tree(made[-1].root, manifests)
    pushing = asyncio.ensure_future(
        push(api, ada, repository, contents, [update("main", "", head[0])], [whole])
    )
    await asyncio.sleep(0)
    while not pushing.done():
        await api.commits.GetCommit(pb.GetCommitRequest(repository=other.id), metadata=bob.auth)
    assert (await pushing).new_commit_count == COMMITS


def test_a_recipe_that_a_file_names_many_times_is_counted_once() -> None:
    chunk = blake3(b"x").digest()
    recipe = Recipe(chunk_hashes=chunk * RECIPE_CHUNKS, chunk_sizes=[1] * RECIPE_CHUNKS)
    file = File(size=128 * RECIPE_CHUNKS, hash=b"h" * 32, recipe_hashes=b"r" * 32 * 128)
    lists = ChunkLists()
    begun = time.process_time()
    lists.add("a", file, {b"r" * 32: recipe})
    assert lists.count_chunks(file) == 128 * RECIPE_CHUNKS
    groups = group_chunks([file, file], lists)
    found = [count_chunks(group) for group in groups]
    assert time.process_time() - begun < 5
    assert {name: n for counts, _ in found for name, n in counts.items()} == {
        b"r" * 32: 2,
        chunk: 2,
    }
    assert sum(map(len, groups)) < 5 * RECIPE_CHUNKS * 40
