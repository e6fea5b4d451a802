"""DeleteBranch and locks: what no other branch reaches is held against them, as if it were undone.

And trials of DeleteBranch and DeleteTag.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from dits.repo.v1 import repository_service_pb2 as pb
from dits.repo.v1.ref_protection_pb2 import BranchProtection, TagProtection
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.branches import Branches, open_pair
from tests.support.counters import assert_counters
from tests.support.locks import Studio
from tests.support.tags import Tags
from tests.support.trees import save

FILES: dict[str, bytes | str] = {"a": b"1", "b": b"1", "d/e": b"1"}


async def open_studio(api: Api) -> tuple[Studio, Branches, str]:
    """A studio whose repository has one commit on main; its branches as cyn calls for them."""
    studio = await Studio.open(api)
    first = await save(api, studio.ada, studio.repo, FILES)
    return studio, Branches(api, studio.repo, studio.cyn), first


@pytest.mark.parametrize(("lock", "changed"), [("a", "a"), ("d/", "d/e"), ("new", "new")])
async def test_unmerged_work_under_the_lock_of_another_keeps_its_branch(
    api: Api, lock: str, changed: str
) -> None:
    studio, branches, first = await open_studio(api)
    held = await studio.take(studio.bob, lock)
    await branches.create("side", first)
    work = {**FILES, changed: b"2"}
    head = await save(api, studio.bob, studio.repo, work, parent=first, branch="side")
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
        await branches.delete("side", head)
    assert refusal.metadata["lock_id"] == held.id
    assert (await branches.get("side")).head == head
    await assert_counters(api.dsn)
    # The holder may, and so may all when the lock has ended.
    await studio.release(studio.bob, held)
    await branches.delete("side", head)
    await branches.create("side", head)
    await studio.take(studio.bob, lock)
    await replace(branches, who=studio.bob).delete("side", head)
    await assert_counters(api.dsn)


async def test_what_is_elsewhere_too_or_not_locked_keeps_no_branch(api: Api) -> None:
    studio, branches, first = await open_studio(api)
    await branches.create("side", first)
    head = await save(
        api, studio.bob, studio.repo, {**FILES, "a": b"2"}, parent=first, branch="side"
    )
    await studio.take(studio.bob, "b")
    await branches.delete("side", head)
    await branches.create("side", head)
    await studio.take(studio.bob, "a")
    await branches.create("other", first)
    bobs = replace(branches, who=studio.bob)
    await bobs.create("copy", head)
    await branches.delete("side", head)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
        await branches.delete("copy", head)
    # The default branch has the same by a commit of its own.
    await save(api, studio.bob, studio.repo, {**FILES, "a": b"2"}, parent=first, branch="main")
    await branches.delete("copy", head)
    await branches.delete("other", first)


async def test_shelves_and_settings_keep_no_branch(api: Api) -> None:
    studio, branches, first = await open_studio(api)
    await branches.create("side", first)
    head = await save(
        api, studio.bob, studio.repo, {**FILES, "a": b"22"}, parent=first, branch="side"
    )
    await branches.create("shelves/cyn/1", head)
    await branches.delete("side", head)
    await studio.take(studio.bob, "a")
    await branches.delete("shelves/cyn/1", head)
    await branches.create("side", first)
    head = await save(
        api, studio.bob, studio.repo, {**FILES, "b": b"22"}, parent=first, branch="side"
    )
    # To write the file now would take a lock, and another size.
    rules: dict[str, Any] = {"max_file_size_bytes": 1, "require_lock_for_edit": True}
    request = pb.UpdateRepositorySettingsRequest(
        repository=studio.repo.id,
        settings=pb.RepositorySettings(**rules),
        update_mask=FieldMask(paths=list(rules)),
    )
    await api.repositories.UpdateRepositorySettings(request, metadata=studio.ada.auth)
    await branches.delete("side", head)
    await assert_counters(api.dsn)


async def test_a_trial_counts_what_nothing_would_reach_and_changes_nothing(api: Api) -> None:
    branches, bob = await open_pair(api)
    tags = Tags(branches, branches.who)
    first = await branches.save("1")
    await branches.create("side", first)
    second = await branches.save("2", parent=first, branch="side")
    third = await branches.save("3", parent=second, branch="side")
    before = await _read_all(api)
    for _ in range(2):
        assert await bob.delete("side", third, validate_only=True) == 2
    assert await _read_all(api) == before
    # What a tag or a shelf reaches is not left behind.
    await tags.create("v1", second)
    assert await tags.delete("v1", second, validate_only=True) == 0
    assert await bob.delete("side", third, validate_only=True) == 1
    await bob.create("shelves/bob/1", third)
    assert await bob.delete("side", third, validate_only=True) == 0
    assert await bob.delete("side", third) == 0
    await bob.delete("shelves/bob/1", third)
    assert await tags.delete("v1", second, validate_only=True) == 1
    assert (await tags.get("v1")).head == second
    await assert_counters(api.dsn)


async def test_a_trial_is_refused_for_the_same_reasons(api: Api) -> None:
    studio, branches, first = await open_studio(api)
    tags = Tags(branches, studio.cyn)
    await branches.create("side", first)
    head = await save(
        api, studio.bob, studio.repo, {**FILES, "a": b"2"}, parent=first, branch="side"
    )
    await studio.take(studio.bob, "a")
    await tags.create("v1", first)
    administrator = Tags(replace(branches, who=studio.ada), studio.ada)
    await administrator.protect(TagProtection(patterns=["v*"]))
    rule = BranchProtection(forbid_deletion=True)
    await replace(branches, who=studio.ada).set_rule("kept/*", rule)
    await branches.create("kept/1", first)
    failed = StatusCode.FAILED_PRECONDITION
    for is_trial in (True, False):
        with refused(failed, "LOCK_HELD"):
            await branches.delete("side", head, validate_only=is_trial)
        with refused(StatusCode.ABORTED, "HEAD_MOVED"):
            await branches.delete("side", first, validate_only=is_trial)
        with refused(failed, "DEFAULT_BRANCH"):
            await branches.delete("main", first, validate_only=is_trial)
        with refused(failed, "BRANCH_PROTECTED"):
            await branches.delete("kept/1", first, validate_only=is_trial)
        with refused(failed, "TAG_PROTECTED"):
            await tags.delete("v1", first, validate_only=is_trial)
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await tags.delete("v2", first, validate_only=is_trial)


async def _read_all(api: Api) -> list[object]:
    """What a deletion changes."""
    tables = ("branches", "repository_stats", "events", "former_heads")
    return [await api.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]
