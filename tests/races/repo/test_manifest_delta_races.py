"""Pushes that bring the same large directory, or whose base is deleted: every version stays readable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from shared.formats.commits import commit_hash
from tests.support.api import Api
from tests.support.large_folders import LargeFolder, folder_of, make_links
from tests.support.trees import Tree, build, commit, push, update
from tests.support.waiting import until_blocked

# What every version of the folder that both bring has, and what the folders had before on two branches.
SHARED = build(make_links(dict.fromkeys(range(300), 1)))
FIRST = build(make_links({1_000: 1}))
SECOND = build(make_links({1_001: 1}))
AFTER = build(make_links({**dict.fromkeys(range(300), 1), 1_400: 1}))


@asynccontextmanager
async def row_held(
    api: Api, statement: str, digest: str
) -> AsyncIterator[asyncpg.transaction.Transaction]:
    """A transaction of someone else that has run a statement about a manifest; the test ends it."""
    connection = await asyncpg.connect(api.dsn)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetch(statement, digest)
        yield transaction
    finally:
        await connection.close()


async def wait_until_blocked(api: Api) -> None:
    """Returns when a transaction waits for a lock."""
    observer = await asyncpg.connect(api.dsn)
    try:
        await until_blocked(observer)
    finally:
        await observer.close()


class Branch:
    """A branch whose folder becomes what others make of theirs at the same time."""

    def __init__(self, films: LargeFolder, name: str, before: Tree) -> None:
        self.films = films
        self.name = name
        self.before = before
        self.head = ""

    async def push(self, *trees: Tree) -> None:
        """Pushes commits, one for each tree."""
        made, head = [], self.head
        for tree in trees:
            made.append(commit(tree, *filter(None, [head])))
            head = commit_hash(made[-1])
        moves = [update(self.name, self.head, head)]
        await push(self.films.api, self.films.ada, self.films.repository, made, moves, trees)
        self.head = head


async def start(api: Api) -> tuple[LargeFolder, Branch, Branch]:
    """Two branches with different folders."""
    films = await LargeFolder.open(api)
    branches = [Branch(films, "first", FIRST), Branch(films, "second", SECOND)]
    for branch in branches:
        await branch.push(branch.before)
    films.trees = [FIRST, SECOND, SHARED, AFTER]
    return films, branches[0], branches[1]


async def read_bases(api: Api) -> Mapping[str, str | None]:
    """The base of every manifest."""
    return dict(await api.fetch("SELECT hash, delta_base FROM manifests"))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_of_two_pushes_of_one_directory_the_first_chooses_its_form(
    api: Api, order: Sequence[int]
) -> None:
    """The late one knew nothing of it when it chose the forms of what comes after."""
    films, *branches = await start(api)
    late, early = branches[order[0]], branches[order[1]]
    statement = "SELECT FROM manifests WHERE hash = $1 FOR UPDATE"
    async with row_held(api, statement, folder_of(late.before)) as holder:
        pushing = asyncio.ensure_future(late.push(SHARED, AFTER))
        await wait_until_blocked(api)
        await early.push(SHARED)
        await holder.rollback()
        await pushing
    bases = await read_bases(api)
    assert bases[folder_of(SHARED)] == folder_of(early.before)
    assert bases[folder_of(AFTER)] is None
    await films.assert_readable()


async def test_what_another_push_has_stored_becomes_a_base(api: Api) -> None:
    films, first, second = await start(api)
    await first.push(SHARED)
    await second.push(SHARED, AFTER)
    bases = await read_bases(api)
    assert bases[folder_of(SHARED)] == folder_of(FIRST)
    assert bases[folder_of(AFTER)] == folder_of(SHARED)
    await films.assert_readable()


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_a_base_that_is_deleted_meanwhile(api: Api, *, is_deleted: bool) -> None:
    """A collector deletes it, or not, while the push waits for it."""
    films, first, _ = await start(api)
    statement = "DELETE FROM manifests WHERE hash = $1"
    async with row_held(api, statement, folder_of(FIRST)) as collector:
        pushing = asyncio.ensure_future(first.push(SHARED))
        await wait_until_blocked(api)
        await (collector.commit() if is_deleted else collector.rollback())
        await pushing
    bases = await read_bases(api)
    assert bases[folder_of(SHARED)] == (None if is_deleted else folder_of(FIRST))
    assert await films.fetch(folder_of(SHARED)) == SHARED.manifests[folder_of(SHARED)]


async def test_a_base_cannot_be_deleted_before_the_delta(api: Api) -> None:
    _, first, _ = await start(api)
    await first.push(SHARED)
    deletion = "DELETE FROM manifests WHERE hash = ANY ($1::text[])"
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="manifests_delta_base_fkey"):
        await api.fetch(deletion, [folder_of(FIRST)])
    await api.fetch(deletion, [folder_of(FIRST), folder_of(SHARED)])
