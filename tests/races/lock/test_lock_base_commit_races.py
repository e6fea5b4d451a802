"""A lock with a base commit, while pushes have all connections of repo and wait for the locks."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from shared.formats.commits import commit_hash
from shared.runtime.config import Settings
from tests.support import trees
from tests.support.api import Api
from tests.support.locks import Studio
from tests.support.waiting import until_blocked


@pytest.fixture
async def studio(api: Api) -> Studio:
    return await Studio.open(api)


async def push_branch(studio: Studio, name: str, base: str) -> None:
    """Pushes a new branch with one change."""
    tree = trees.build({"a": "0", name: "1"})
    made = trees.commit(tree, base)
    moves = [trees.update(name, "", commit_hash(made))]
    await trees.push(studio.api, studio.ada, studio.repo, [made], moves, [tree])


async def test_it_needs_nothing_that_the_pushes_have(studio: Studio, settings: Settings) -> None:
    tree = trees.build({"a": "0"})
    made = trees.commit(tree)
    await trees.push_commit(studio.api, studio.ada, studio.repo, made, tree)
    base = commit_hash(made)
    size = settings.pool_size
    holder = await asyncpg.connect(studio.api.dsn)
    watcher = await asyncpg.connect(studio.api.dsn)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("SELECT share_lock_mutex($1::uuid)", studio.repo.id)
    locking = asyncio.create_task(studio.acquire(studio.bob, "a", base_commit=base))
    await until_blocked(watcher)
    names = [f"b{n}" for n in range(2 * size)]
    pushing = [asyncio.create_task(push_branch(studio, name, base)) for name in names]
    await until_blocked(watcher, 1 + size)
    await transaction.rollback()
    response = await locking
    assert response.results[0].lock.path == "a"
    await asyncio.gather(*pushing)
    await holder.close()
    await watcher.close()
