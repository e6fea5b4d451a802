"""A protection and a move of its branch at the same moment: the later one sees the earlier one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dits.repo.v1.ref_protection_pb2 import BranchProtection
from dits.repo.v1.repository_service_pb2 import (
    RepositorySettings,
    UpdateRepositorySettingsRequest,
)
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.branches import Branches, open_pair
from tests.support.rivals import other_transaction, together
from tests.support.tags import Tags, annotate, move_tag
from tests.support.trees import push, update
from tests.support.waiting import until_blocked


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("pushes", [True, False])
async def test_a_protection_that_is_set_while_a_branch_moves(
    api: Api, pushes: bool, commits: bool
) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    protect = """UPDATE branches SET protection = '{"forbid_force": true}'"""
    async with other_transaction(api, protect, commits=commits):
        moves = [update("main", second, first, force=True)]
        call: Any = (
            push(api, branches.who, branches.repository, [], moves)
            if pushes
            else branches.update("main", second, first, force=True)
        )
        if commits:
            with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED"):
                await call
        else:
            await call
    assert (await branches.get()).head == (second if commits else first)


@pytest.mark.parametrize("commits", [True, False])
async def test_a_rule_that_is_set_while_a_branch_is_made(api: Api, commits: bool) -> None:
    branches, bob = await open_pair(api)
    head = await branches.save("1")
    protect = """SELECT FROM repositories FOR UPDATE; UPDATE repository_settings SET branch_rules =
        '{"rules": [{"pattern": "v*", "protection": {"required_permission": "PERMISSION_ADMIN"}}]}'"""
    async with other_transaction(api, protect, commits=commits):
        if commits:
            with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED"):
                await bob.create("v1", head)
        else:
            await bob.create("v1", head)
    assert await bob.names("v") == ([] if commits else ["v1"])


async def test_a_rule_waits_for_a_move_under_way(api: Api) -> None:
    branches = await Branches.open(api)
    await branches.save("1")
    push_holds = "SELECT FROM repositories FOR KEY SHARE; UPDATE branches SET name = 'v1'"
    async with other_transaction(api, push_holds, commits=True):
        await branches.set_rule("v*", BranchProtection(forbid_force=True))
    assert [rule.pattern for rule in (await branches.get("v1")).rules] == ["v*"]


async def test_a_protection_waits_for_a_move_under_way(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    move = f"UPDATE branches SET head_commit = '{first}'"
    async with other_transaction(api, move, commits=True):
        made = await branches.protect(BranchProtection(forbid_force=True))
    assert (made.head, made.protection.forbid_force) == (first, True)
    assert second != first


@pytest.mark.parametrize("renames_first", [True, False])
async def test_of_a_move_and_a_renaming_none_is_lost(api: Api, renames_first: bool) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    for number in range(3):
        await branches.create(f"b{number}", first)
        calls = [
            branches.update(f"b{number}", first, second),
            branches.rename(f"b{number}", f"c{number}"),
        ]
        won, reasons = await together(*(calls[::-1] if renames_first else calls))
        # The branch has its new name, and is where the move put it if that won.
        assert set(reasons) <= {"HEAD_MOVED", "NOT_FOUND"}
        assert (await branches.get(f"c{number}")).head == (second if won == 2 else first)
    calls = [branches.rename(f"c{number}", "one") for number in range(3)]
    won, reasons = await together(*calls)
    assert (won, reasons) == (1, ["NAME_TAKEN"] * 2)


@pytest.mark.parametrize("commits", [True, False])
async def test_a_protection_of_tags_that_is_set_while_one_is_made(api: Api, commits: bool) -> None:
    branches, bob = await open_pair(api)
    head = await branches.save("1")
    tags = Tags(branches, bob.who)
    protect = """SELECT FROM repositories FOR UPDATE;
                 UPDATE repository_settings SET tag_protection = '{"patterns": ["v*"]}'"""
    async with other_transaction(api, protect, commits=commits):
        if commits:
            with refused(StatusCode.FAILED_PRECONDITION, "TAG_PROTECTED"):
                await tags.create("v1", head)
        else:
            await tags.create("v1", head)


async def test_a_tag_that_is_made_holds_up_no_settings(api: Api) -> None:
    """Who makes tags all the time would else keep others from changing them."""
    branches = await Branches.open(api)
    tags, head = Tags(branches, branches.who), await branches.save("1")
    request = UpdateRepositorySettingsRequest(
        repository=branches.repository.id,
        settings=RepositorySettings(max_file_size_bytes=5),
        update_mask=FieldMask(paths=["max_file_size_bytes"]),
    )
    async with api.connected() as connection, api.connected() as observer:
        async with connection.transaction():
            await connection.execute("LOCK TABLE tags IN SHARE MODE")
            making = asyncio.ensure_future(tags.create("v1", head))
            await until_blocked(observer)
            settings = api.repositories.UpdateRepositorySettings(
                request, metadata=branches.who.auth
            )
            changing = asyncio.ensure_future(settings)
            blocked = asyncio.ensure_future(until_blocked(observer, 2))
            await asyncio.wait([changing, blocked], return_when=asyncio.FIRST_COMPLETED)
            assert not blocked.done()
            blocked.cancel()
            await changing
            assert not making.done()
        await making


async def test_of_many_pushes_of_one_tag_one_wins(api: Api) -> None:
    branches = await Branches.open(api)
    head = await branches.save("1")
    calls = (
        push(api, branches.who, branches.repository, [], [move_tag("v1", "", head, annotate())])
        for _ in range(4)
    )
    won, reasons = await together(*calls)
    assert (won, reasons) == (1, ["HEAD_MOVED"] * 3)
    assert await api.value("SELECT tag_count FROM repository_stats") == 1
