"""Refs that are created twice at once: a ref that is where it shall be counts as created."""

from __future__ import annotations

from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.branches import Branches
from tests.support.rivals import other_transaction, together
from tests.support.tags import Tags
from tests.support.trees import push, update


async def test_of_many_creations_of_a_tag_one_counts(api: Api) -> None:
    branches = await Branches.open(api)
    tags = Tags(branches, branches.who)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    won, reasons = await together(*(tags.create("v1", first) for _ in range(4)))
    assert (won, reasons) == (4, [])
    won, reasons = await together(*(tags.create("v2", head) for head in (first, second)))
    assert (won, reasons) == (1, ["NAME_TAKEN"])
    assert await api.value("SELECT tag_count FROM repository_stats") == 2


async def test_a_tag_that_another_call_is_creating(api: Api) -> None:
    branches = await Branches.open(api)
    tags = Tags(branches, branches.who)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    insert = f"""INSERT INTO tags (repo_id, name, commit_hash, tag_type)
                 VALUES ('{branches.repository.id}', '%s', '{first}', 'lightweight')"""
    async with other_transaction(api, insert % "v1", commits=True):
        assert (await tags.create("v1", first)).head == first
    async with other_transaction(api, insert % "v2", commits=True):
        with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
            await tags.create("v2", second)


async def test_a_push_of_a_branch_that_another_call_is_creating_there(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    insert = f"""INSERT INTO branches (repo_id, name, head_commit, created_from)
                 VALUES ('{branches.repository.id}', 'side', '{first}', '{first}')"""
    async with other_transaction(api, insert, commits=True):
        moves = [update("side", "", first)]
        answer = await push(api, branches.who, branches.repository, [], moves)
    assert [ref.head for ref in answer.refs] == [first]
