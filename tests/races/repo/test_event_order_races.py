"""Events about one thing stand in the order in which they happened, whichever transaction began first.

A call that waits for a row has its transaction's number already. What comes to the thing before it has a
higher one.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import asyncpg
import pytest

from tests.support.api import Api
from tests.support.branches import Branches
from tests.support.locks import Studio
from tests.support.rivals import other_transaction, together
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


async def test_a_move_that_two_calls_make_at_once_is_told_of_once(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    await branches.create("side", first)
    second = await branches.save("2", parent=first, branch="side")
    move = f"UPDATE branches SET head_commit = '{second}' WHERE name = 'main'"
    async with other_transaction(api, move, commits=True):
        assert (await branches.update("main", first, second)).head == second
    assert await list_told(api, branches.repository.id, "push") == ["push"] * 2


@pytest.mark.parametrize("is_among_them", [True, False])
async def test_an_event_about_many_things_is_held_against_a_later_one(
    api: Api, is_among_them: bool
) -> None:
    branches = await Branches.open(api)
    emit = "SELECT emit_event('push', $1::uuid, NULL, NULL, $2::jsonb)"
    tags = [{"tag": f"v{number}"} for number in range(1_000)] + [{"tag": None}]
    later = [{"tag": "v1000"}, {"tag": None}, {"tag": "v999" if is_among_them else "v1001"}]
    connection = await asyncpg.connect(api.dsn)
    try:
        await connection.execute("BEGIN; SELECT pg_current_xact_id()")
        await api.fetch(emit, branches.repository.id, json.dumps({"tags": later}))
        telling = connection.execute(emit, branches.repository.id, json.dumps({"tags": tags}))
        with pytest.raises(asyncpg.SerializationError) if is_among_them else nullcontext():
            await telling
    finally:
        await connection.close()


async def act(branches: Branches, rng: random.Random, heads: list[str]) -> None:
    """Calls for one of two branches, by chance; what others have done meanwhile may forbid it."""
    name, other = rng.sample(["x", "y"], 2)
    old, new = rng.sample(heads, 2)
    call = rng.randrange(4)
    if call == 0:
        await together(branches.create(name, new))
    elif call == 1:
        await together(branches.delete(name, old))
    elif call == 2:
        await together(branches.rename(name, other))
    else:
        await together(branches.update(name, old, new, force=True))


async def replay_branches(api: Api, repository_id: str) -> dict[str, str]:
    """Where the branches are according to the events, each of which begins where the one before ended."""
    heads: dict[str, str] = {}
    for row in await api.fetch(
        """SELECT type, payload FROM events
           WHERE repo_id = $1::uuid AND (type = 'push' OR type LIKE 'branch.%') ORDER BY xid, id""",
        repository_id,
    ):
        payload = json.loads(row["payload"])
        for move in payload.get("branches", [payload]):
            name = move.get("previous_name", move["branch"])
            assert heads.pop(name, "") == move.get("before", ""), (row["type"], move)
            if "after" in move:
                heads[move["branch"]] = move["after"]
    return heads


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
async def test_the_events_of_many_callers_give_the_branches(api: Api, seed: int) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    heads = [first, await branches.save("2", parent=first)]

    async def play(number: int) -> None:
        rng = random.Random(10 * seed + number)
        for _ in range(100):
            await act(branches, rng, heads)

    await asyncio.gather(*(play(number) for number in range(8)))
    listed = {branch.name: branch.head for branch in await branches.list()}
    assert await replay_branches(api, branches.repository.id) == listed
