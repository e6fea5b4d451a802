"""The release of history, and those who build on what is about to go: in both orders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import grpc
import pytest
from dits.repo.v1 import ref_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import CommitContent
from grpc import StatusCode

from services.repo.release.directories import condemn_unreached
from services.repo.release.search import begin_search, search_directories
from shared.formats.commits import commit_hash
from tests.support.api import Api, read_error, refused
from tests.support.branches import Branches
from tests.support.release import (
    assert_whole,
    connected,
    count_rows,
    pass_time,
    release,
)
from tests.support.rivals import other_transaction
from tests.support.trees import build, commit, push, save, update

FILES: dict[str, bytes | str] = {"a/b/c": b"c", "d": b"d"}


@pytest.fixture
async def left(api: Api) -> tuple[Branches, str]:
    """A repository, and a commit in it that its branch left 30 days ago."""
    on = await Branches.open(api)
    await save(api, on.who, on.repository, {"x": b"x"})
    head = await save(api, on.who, on.repository, FILES, branch="look")
    await on.delete("look", head)
    await pass_time(api, on.repository.id)
    return on, head


async def create_branch(on: Branches, head: str) -> None:
    """Creates a branch at the commit."""
    await on.create("back", head)


async def create_tag(on: Branches, head: str) -> None:
    """Creates a tag of it."""
    request = pb.CreateTagRequest(repository=on.repository.id, name="v1", head=head)
    await on.api.refs.CreateTag(request, metadata=on.who.auth)


async def move_branch(on: Branches, head: str) -> None:
    """Moves a branch to it."""
    old = (await on.get("main")).head
    request = pb.UpdateBranchRequest(
        repository=on.repository.id, name="main", expected_head=old, new_head=head, force=True
    )
    await on.api.refs.UpdateBranch(request, metadata=on.who.auth)


async def push_child(on: Branches, head: str) -> None:
    """Pushes a child of it, with the same tree."""
    child = commit(build(FILES), head)
    await push(on.api, on.who, on.repository, [child], [update("back", "", commit_hash(child))])


async def push_ref(on: Branches, head: str) -> None:
    """Moves a branch to it by a push."""
    await push(on.api, on.who, on.repository, [], [update("back", "", head)])


BUILDERS = [create_branch, create_tag, move_branch, push_child, push_ref]


@pytest.mark.parametrize("builds", BUILDERS)
@pytest.mark.parametrize("is_released", [True, False])
async def test_who_builds_on_a_commit_waits_for_its_release(
    api: Api,
    left: tuple[Branches, str],
    builds: Callable[[Branches, str], Awaitable[None]],
    is_released: bool,
) -> None:
    on, head = left
    statement = f"SELECT release_commits('{on.repository.id}', '30 days', 10)"
    async with other_transaction(api, statement, commits=is_released):
        if is_released:
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await builds(on, head)
            assert read_error(refusal.value).reason in ("NOT_FOUND", "HISTORY_MISSING")
        else:
            await builds(on, head)
    await release(api, on.repository.id)
    await assert_whole(api, on.repository.id)
    kept = await api.value("SELECT count(*) FROM commits WHERE hash = $1", head)
    assert kept == (not is_released)


async def test_a_push_brings_again_what_is_just_released(
    api: Api, left: tuple[Branches, str]
) -> None:
    on, head = left
    made = await read_commit(on, head)
    statement = f"SELECT release_commits('{on.repository.id}', '30 days', 10)"
    async with other_transaction(api, statement, commits=True):
        await push(api, on.who, on.repository, [made], [update("back", "", head)], [build(FILES)])
    await release(api, on.repository.id)
    await assert_whole(api, on.repository.id)
    assert (await on.get("back")).head == head


async def read_commit(on: Branches, name: str) -> CommitContent:
    """A stored commit as a push sends it."""
    row = (await on.api.fetch("SELECT * FROM commits WHERE hash = $1", name))[0]
    made = commit(row["tree_hash"], *row["parent_hashes"], message=row["message"])
    time = round(row["author_timestamp"].timestamp() * 1_000_000)
    made.author.time_us = made.committer.time_us = time
    assert commit_hash(made) == name
    return made


@asynccontextmanager
async def holding(api: Api, statement: str, *arguments: object) -> AsyncIterator[None]:
    """A transaction that has run a statement."""
    connection = await asyncpg.connect(api.dsn)
    transaction = connection.transaction()
    try:
        await transaction.start()
        assert await connection.fetch(statement, *arguments)
        yield
        await transaction.rollback()
    finally:
        await connection.close()


async def test_a_commit_that_a_push_holds_is_left_to_the_next_release(
    api: Api, left: tuple[Branches, str]
) -> None:
    on, head = left
    before = await count_rows(api, on.repository.id)
    async with holding(api, "SELECT FROM commits WHERE hash = $1 FOR KEY SHARE", head):
        assert await release(api, on.repository.id) == 0
    assert await count_rows(api, on.repository.id) == before
    assert await release(api, on.repository.id) == 1 + 3


@pytest.mark.parametrize("depth", ["max", "min"])
async def test_directories_that_a_push_holds_stay_and_so_does_what_is_below(
    api: Api, left: tuple[Branches, str], depth: str
) -> None:
    on, _ = left
    await on.api.fetch("SELECT release_commits($1::uuid, '30 days', 10)", on.repository.id)
    tree = build(FILES)
    query = f"""SELECT hash FROM manifests WHERE repo_id = $1::uuid AND hash = ANY ($2)
                ORDER BY {"-" if depth == "max" else ""}depth LIMIT 1"""
    held = await api.value(query, on.repository.id, list(tree.manifests))
    async with holding(api, "SELECT FROM manifests WHERE hash = $1 FOR KEY SHARE", held):
        await release(api, on.repository.id)
        await assert_whole(api, on.repository.id)
        assert await api.value("SELECT condemned IS NULL FROM manifests WHERE hash = $1", held)
    await release(api, on.repository.id)
    rows = await count_rows(api, on.repository.id)
    assert (rows["manifests"], rows["released_histories"]) == (1, 0)
    await assert_whole(api, on.repository.id)


async def test_a_push_that_names_a_condemned_tree_keeps_all_that_is_in_it(
    api: Api, left: tuple[Branches, str]
) -> None:
    on, _ = left
    await on.api.fetch("SELECT release_commits($1::uuid, '30 days', 10)", on.repository.id)
    async with connected(api) as database:
        number = UUID(on.repository.id)
        search = await begin_search(database)
        async for _ in search_directories(database, number, search):
            pass
        async for _ in condemn_unreached(database, number, search):
            pass
    query = "SELECT count(condemned) FROM manifests WHERE repo_id = $1::uuid"
    assert await api.value(query, on.repository.id) == 3
    # Only the tree is named; what is in it is condemned still.
    child = commit(build(FILES).root)
    await push(api, on.who, on.repository, [child], [update("back", "", commit_hash(child))])
    assert await api.value(query, on.repository.id) == 2
    assert await release(api, on.repository.id) == 0
    assert await api.value(query, on.repository.id) == 0
    await assert_whole(api, on.repository.id)
    assert (await count_rows(api, on.repository.id))["released_histories"] == 0


async def test_a_directory_that_goes_first_is_missing_for_a_push(
    api: Api, left: tuple[Branches, str]
) -> None:
    on, _ = left
    await on.api.fetch("SELECT release_commits($1::uuid, '30 days', 10)", on.repository.id)
    root = build(FILES).root
    child = commit(root)
    gone = f"DELETE FROM manifests WHERE repo_id = '{on.repository.id}' AND hash = '{root}'"
    async with other_transaction(api, gone, commits=True):
        with refused(StatusCode.FAILED_PRECONDITION, "HISTORY_MISSING"):
            await push(
                api, on.who, on.repository, [child], [update("back", "", commit_hash(child))]
            )
