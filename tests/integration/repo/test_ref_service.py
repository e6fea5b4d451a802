"""Branches: creating, listing, moving and deleting them."""

from __future__ import annotations

import dataclasses

import pytest
from dits.auth.v1.notification_service_pb2 import FollowBranchRequest
from dits.lock.v1.lock_service_pb2 import AcquireLocksRequest
from dits.repo.v1.ref_service_pb2 import ListBranchesRequest
from grpc import StatusCode

from services.repo.history import divergence
from tests.support.api import Api, refused
from tests.support.branches import Branches
from tests.support.notifications import until
from tests.support.statements import StatementLog

ABSENT = "12" * 32


async def events(api: Api) -> list[str]:
    rows = await api.fetch("SELECT type FROM events WHERE type ~ '^(push|branch)' ORDER BY id")
    return [row["type"] for row in rows]


async def test_a_branch_is_created_at_a_commit(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    # A repetition succeeds while the branch is where it was created.
    for _ in range(2):
        made = await branches.create("look/dev", first)
        assert (made.name, made.head, made.is_default) == ("look/dev", first, False)
        assert made.creator_id == str(branches.who.id)
    assert await branches.get("look/dev") == made
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await branches.create("look/dev", second)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await branches.create("x", ABSENT)
    assert await api.value("SELECT branch_count FROM repository_stats") == 2
    assert await events(api) == ["push", "push", "branch.created"]


async def test_the_default_branch_knows_that_it_is(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1", branch="side")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await branches.get()
    made = await branches.create("main", first)
    assert made.is_default
    assert await branches.get() == made


async def test_branches_are_listed_by_name(api: Api) -> None:
    branches = await Branches.open(api)
    head = await branches.save("1")
    for name in ("b/2", "b/1", "c"):
        await branches.create(name, head)
    assert await branches.names() == await branches.names(size=1) == ["b/1", "b/2", "c", "main"]
    assert await branches.names("b/") == ["b/1", "b/2"]


async def test_a_branch_moves_by_compare_and_swap(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    await branches.create("look/dev", first)
    # A repetition finds the branch at its new commit.
    for _ in range(2):
        moved = await branches.update("look/dev", first, second)
        assert moved.head == second
        assert moved == await branches.get("look/dev")
    assert moved.update_time.ToDatetime() > moved.create_time.ToDatetime()
    with refused(StatusCode.ABORTED, "HEAD_MOVED") as refusal:
        await branches.update("look/dev", "ab" * 32, first)
    assert refusal.metadata == {"branch": "look/dev", "expected": "ab" * 32, "current": second}
    with refused(StatusCode.FAILED_PRECONDITION, "NOT_FAST_FORWARD"):
        await branches.update("look/dev", second, first)
    assert (await branches.update("look/dev", second, first, force=True)).head == first
    for name, new in (("nothing", second), ("look/dev", ABSENT)):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await branches.update(name, first, new)


async def test_moving_a_branch_is_announced_as_a_push(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    await branches.create("side", first)
    second = await branches.save("2", parent=first)
    before = await api.value("SELECT pushed_at FROM repositories")
    await branches.update("side", first, second)
    assert await events(api) == ["push", "branch.created", "push", "push"]
    assert await api.value("SELECT pushed_at > $1 FROM repositories", before)


async def test_moving_a_branch_reads_its_row_twice(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    await branches.create("side", first)
    log = StatementLog(monkeypatch)
    await branches.update("side", first, second)
    # Once to compare the trees, once with a lock to move it.
    assert log.verbs("branches") == ["SELECT", "SELECT", "UPDATE"]


async def test_creating_and_deleting_read_the_row_no_more_than_they_must(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    branches = await Branches.open(api)
    head = await branches.save("1")
    log = StatementLog(monkeypatch)
    await branches.create("side", head)
    # The second statement looks for other branches that reach the commit.
    assert log.verbs("branches") == ["INSERT", "WITH"]
    await branches.delete("side", head)
    # Once to look for what no other branch reaches, before locks are judged, and once with a lock.
    deleted = ["SELECT", "WITH", "SELECT", "DELETE"]
    assert log.verbs("branches") == ["INSERT", "WITH", *deleted]


async def test_a_move_is_held_to_the_rules_of_a_push(api: Api) -> None:
    branches = await Branches.open(api)
    bob = await api.account("bob")
    await api.grant(branches.repository, bob, "write")
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    await branches.create("old", first)
    request = AcquireLocksRequest(repository=branches.repository.id, paths=["a"])
    await api.locks.AcquireLocks(request, metadata=bob.auth)
    # The file becomes what it is on the default branch.
    await branches.update("old", first, second)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
        await branches.update("main", second, first, force=True)
    assert refusal.metadata["holder"] == "bob"
    await api.fetch("UPDATE repository_settings SET allowed_extensions = '{exr}'")
    with refused(StatusCode.FAILED_PRECONDITION, "FILE_REFUSED"):
        await branches.update("main", second, first, force=True)


async def test_a_branch_is_deleted_where_it_is_expected(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    await branches.create("look/dev", second)
    with refused(StatusCode.ABORTED, "HEAD_MOVED"):
        await branches.delete("look/dev", first)
    await branches.delete("look/dev", second)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await branches.delete("look/dev", second)
    with refused(StatusCode.FAILED_PRECONDITION, "DEFAULT_BRANCH"):
        await branches.delete("main", second)
    assert await api.value("SELECT branch_count FROM repository_stats") == 1
    assert await events(api) == ["push", "push", "branch.created", "branch.deleted"]


async def test_a_branch_is_renamed(api: Api) -> None:
    branches = await Branches.open(api)
    bob = dataclasses.replace(branches, who=await api.account())
    await api.grant(branches.repository, bob.who, "write")
    head = await branches.save("1")
    await branches.create("side", head)
    for name, who in (("side", bob.who), ("main", branches.who)):
        request = FollowBranchRequest(repository=branches.repository.id, branch=name)
        await api.notifications.FollowBranch(request, metadata=who.auth)
    renamed = await bob.rename("side", "look/dev")
    assert (renamed.name, renamed.head, renamed.is_default) == ("look/dev", head, False)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await bob.rename("side", "look/dev")
    for name in ("main", "look/dev"):
        with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
            await bob.rename("look/dev" if name == "main" else "main", name)
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await bob.rename("main", "trunk")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await branches.rename("main", "main")
    assert (await branches.rename("main", "trunk")).is_default
    assert (await branches.get()).name == "trunk"
    assert await api.value("SELECT default_branch FROM repositories") == "trunk"
    assert await api.value("SELECT branch_count FROM repository_stats") == 2
    # The repository stays writable under the new name, and those who followed the branch still do.
    await branches.save("2", parent=head, branch="trunk")
    await until(
        api, "SELECT NOT EXISTS (SELECT FROM branch_follows WHERE branch IN ('side', 'main'))"
    )
    followed = await api.fetch("SELECT branch FROM branch_follows ORDER BY branch")
    assert [row["branch"] for row in followed] == ["look/dev", "trunk"]


async def test_branches_are_compared_with_the_default_branch(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    for name in ("a", "b", "c"):
        await branches.create(name, first)
    second = await branches.save("2", parent=first)
    third = await branches.save("3", parent=first, branch="b")
    await branches.update("c", first, second)
    # One branch is one page's work.
    monkeypatch.setattr(divergence, "PAGE_WALK", 1)
    request = ListBranchesRequest(repository=branches.repository.id, with_divergence=True)
    found: dict[str, tuple[int, int]] = {}
    pages = 0
    while not pages or request.page_token:
        pages += 1
        page = await api.refs.ListBranches(request, metadata=branches.who.auth)
        found |= {b.name: (b.divergence.ahead, b.divergence.behind) for b in page.branches}
        request.page_token = page.next_page_token
    assert found == {"a": (0, 1), "b": (1, 1), "c": (0, 0), "main": (0, 0)}
    assert pages > 1
    monkeypatch.setattr(divergence, "MAX_WALK", 0)
    request.page_token = ""
    page = await api.refs.ListBranches(request, metadata=branches.who.auth)
    assert not page.branches[0].HasField("divergence")
    assert third != second
