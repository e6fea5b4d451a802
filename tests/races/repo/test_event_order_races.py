"""Events about one thing stand in the order in which they happened, whichever transaction began first.

A call that waits for a row has its transaction's number already. What comes to the thing before it has a
higher one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.support.api import Api
from tests.support.branches import Branches
from tests.support.locks import Studio
from tests.support.tags import Tags
from tests.support.trees import save
from tests.support.waiting import until_blocked


@asynccontextmanager
async def held_commit(api: Api, commit: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Calls that build on a commit wait, until the block ends."""
    connection, observer = await asyncpg.connect(api.dsn), await asyncpg.connect(api.dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM commits WHERE hash = $1 FOR UPDATE", commit)
            yield observer
    finally:
        await connection.close()
        await observer.close()


async def list_told(api: Api, repository_id: str, family: str) -> list[str]:
    """Types of the events of a repository in the order in which they are read."""
    rows = await api.fetch(
        "SELECT type FROM events WHERE repo_id = $1::uuid AND type LIKE $2 ORDER BY xid, id",
        repository_id,
        family,
    )
    return [row["type"] for row in rows]


async def test_a_branch_that_is_deleted_and_created_again(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    await branches.create("side", first)
    async with held_commit(api, second) as observer:
        creation = asyncio.create_task(branches.create("side", second))
        await until_blocked(observer)
        await branches.delete("side", first)
    assert (await creation).head == second
    told = await list_told(api, branches.repository.id, "branch.%")
    assert told == ["branch.created", "branch.deleted", "branch.created"]


async def test_a_tag_that_is_deleted_and_created_again(api: Api) -> None:
    branches = await Branches.open(api)
    tags = Tags(branches, branches.who)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    await tags.create("v1", first)
    async with held_commit(api, second) as observer:
        creation = asyncio.create_task(tags.create("v1", second))
        await until_blocked(observer)
        await tags.delete("v1", first)
    assert (await creation).head == second
    told = await list_told(api, branches.repository.id, "tag.%")
    assert told == ["tag.created", "tag.deleted", "tag.created"]


async def test_a_lock_that_is_taken_while_the_push_that_ends_it_is_under_way(api: Api) -> None:
    studio = await Studio.open(api)
    first = await save(api, studio.ada, studio.repo, {"a": b"1"})
    branches = Branches(api, studio.repo, studio.ada)
    await branches.create("side", first)
    second = await branches.save("2", parent=first, branch="side")
    async with held_commit(api, second) as observer:
        move = asyncio.create_task(branches.update("main", first, second))
        await until_blocked(observer)
        await studio.take(studio.ada, "a", release_on_push=True)
    await move
    assert await studio.paths() == []
    assert await list_told(api, studio.repo.id, "lock.%") == ["lock.acquired", "lock.released"]
