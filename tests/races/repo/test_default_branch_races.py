"""The default branch gets another name while a branch of its old name is made."""

from __future__ import annotations

from tests.support.api import Api
from tests.support.branches import Branches
from tests.support.rivals import other_transaction


async def test_a_branch_of_the_name_that_the_default_branch_loses(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    rename = """UPDATE branches SET name = 'trunk' WHERE name = 'main';
                UPDATE repositories SET default_branch = 'trunk'"""
    async with other_transaction(api, rename, commits=True):
        assert not (await branches.create("main", first)).is_default
    assert {branch.name: branch.is_default for branch in await branches.list()} == {
        "main": False,
        "trunk": True,
    }
