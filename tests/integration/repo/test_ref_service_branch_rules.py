"""Rules that protect branches by their names, before the branches are there."""

from __future__ import annotations

import pytest
from dits.common.v1.permission_pb2 import PERMISSION_ADMIN
from dits.repo.v1.ref_protection_pb2 import BranchProtection, BranchRule, RestrictedPaths
from grpc import StatusCode

from shared.formats.commits import commit_hash
from tests.support.api import Api, refused
from tests.support.branches import Branches, members, open_pair
from tests.support.trees import build, commit, push, save, update, upload

ADMINS = BranchProtection(required_permission=PERMISSION_ADMIN)


async def test_rules_are_set_read_and_removed(api: Api) -> None:
    branches, bob = await open_pair(api)
    head = await branches.save("1")
    await branches.protect(BranchProtection(forbid_force=True))
    for pattern in ("release/*", "main", "release/*"):
        made = await branches.set_rule(pattern, ADMINS)
        assert made == BranchRule(pattern=pattern, protection=ADMINS)
    assert [rule.pattern for rule in await bob.rules()] == ["main", "release/*"]
    main = await bob.get()
    assert main.protection == BranchProtection(forbid_force=True)
    assert main.rules == [BranchRule(pattern="main", protection=ADMINS)]
    made_branch = await branches.create("release/1", head)
    assert made_branch.is_protected
    assert not made_branch.HasField("protection")
    assert not (await branches.create("other", head)).is_protected
    listed = await branches.list()
    assert {each.name: each.is_protected for each in listed} == {
        "main": True,
        "other": False,
        "release/1": True,
    }
    assert await branches.set_rule("main", BranchProtection()) == BranchRule()
    assert [rule.pattern for rule in await branches.rules()] == ["release/*"]
    told = await api.fetch(
        """SELECT payload ->> 'branch' AS branch FROM events
           WHERE type = 'branch.protection_changed' ORDER BY id"""
    )
    assert [row["branch"] for row in told] == ["main", "release/*", "main", "main"]
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await bob.set_rule("main", ADMINS)


@pytest.mark.parametrize("pattern", ["", "!main", "a\nb", "["])
async def test_what_is_no_rule(api: Api, pattern: str) -> None:
    branches = await Branches.open(api)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await branches.set_rule(pattern, ADMINS)


async def test_a_repository_has_50_rules_at_most(api: Api) -> None:
    branches = await Branches.open(api)
    rules = ",".join(
        f'{{"pattern": "p{n}", "protection": {{"forbid_force": true}}}}' for n in range(50)
    )
    await api.fetch(
        "UPDATE repository_settings SET branch_rules = $1::text::jsonb", f'{{"rules": [{rules}]}}'
    )
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"):
        await branches.set_rule("one more", ADMINS)
    await branches.set_rule("p7", ADMINS)
    wrong = BranchProtection(bypass=members("00000000-0000-0000-0000-000000000000"))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await branches.set_rule("p7", wrong)
    assert "rule.protection.bypass.user_ids" in str(refusal.details)


async def test_a_branch_is_protected_before_it_is_there(api: Api) -> None:
    branches, bob = await open_pair(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    await branches.set_rule("release/*", ADMINS)
    await bob.create("mine", second)
    attempts = (
        lambda: bob.create("release/1", second),
        lambda: bob.rename("mine", "release/1"),
        lambda: push(
            api,
            bob.who,
            bob.repository,
            [],
            [update("release/1", "", first), update("x", "", first)],
        ),
    )
    for attempt in attempts:
        with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
            await attempt()
        assert refusal.metadata == {"branch": "release/1", "rule": "permission"}
    for look in ("release\u200b/1", "rel\u00adease/1", "\u3000release/1", "release/\ufe0f1"):
        with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED"):
            await bob.create(look, second)
    # Nothing of the push has happened.
    assert await bob.names() == ["main", "mine"]
    await branches.create("release/1", first)
    for move in (
        lambda: bob.update("release/1", first, second),
        lambda: bob.delete("release/1", first),
        lambda: bob.rename("release/1", "free"),
    ):
        with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED"):
            await move()
    await branches.update("release/1", first, second)
    # A repetition of CreateBranch is no creation; shelves are nobody's business.
    assert (await bob.create("release/1", second)).head == second
    await branches.set_rule("*", ADMINS)
    await bob.create("shelves/bob/1", second)
    await bob.delete("shelves/bob/1", second)


async def test_a_new_branch_is_compared_with_the_default_branch(api: Api) -> None:
    branches, bob = await open_pair(api)
    files = {"a": b"1", "legal/terms": b"1"}
    first = await save(api, bob.who, bob.repository, files)
    await bob.create("early", first)
    rule = BranchProtection(
        require_linear_history=True,
        restricted_paths=[RestrictedPaths(patterns=["legal/"])],
        forbid_force=True,
    )
    await branches.set_rule("release/*", rule)
    second = await save(api, bob.who, bob.repository, files | {"a": b"2"}, parent=first)
    # What is older than the default branch is not what the rule is about.
    await bob.create("release/early", first)
    changed = await save(
        api, bob.who, bob.repository, {"legal/terms": b"2"}, parent=first, branch="early"
    )
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
        await bob.create("release/1", changed)
    assert (refusal.metadata["rule"], refusal.metadata["path"]) == (
        "restricted_paths",
        "legal/terms",
    )
    tree = build({"a": b"3", "legal/terms": b"1"})
    await upload(api, bob.who, bob.repository, tree.chunks)
    merge = commit(tree, second, changed)
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
        await push(
            api, bob.who, bob.repository, [merge], [update("release/1", "", commit_hash(merge))],
            trees=[tree],
        )  # fmt: skip
    assert refusal.metadata["rule"] == "linear_history"
    rule.bypass.CopyFrom(members(bob.who.id))
    await branches.set_rule("release/*", rule)
    await bob.create("release/1", changed)
    rows = await api.fetch(
        "SELECT details::jsonb ->> 'rule' AS rule FROM audit_log "
        "WHERE action = 'branch.protection_bypassed'"
    )
    assert [row["rule"] for row in rows] == ["restricted_paths"]


async def test_without_a_default_branch_all_commits_are_new(api: Api) -> None:
    branches = await Branches.open(api)
    await branches.set_rule("*", BranchProtection(require_signatures=True))
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
        await branches.save("1")
    assert refusal.metadata["rule"] == "signatures"
    await branches.set_rule("*", BranchProtection(require_linear_history=True))
    first = await branches.save("1")
    await branches.save("2", parent=first)


async def test_a_shelf_is_not_protected_and_counts_as_no_branch(api: Api) -> None:
    branches = await Branches.open(api)
    await branches.create("shelves/ada/1", await branches.save("1"))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await branches.protect(ADMINS, "shelves/ada/1")
    assert not await api.fetch("SELECT FROM events WHERE type = 'branch.protection_changed'")
    counted = "SELECT branch_count FROM repository_stats"
    assert await api.value(counted) == 1
    await api.fetch("SELECT update_repo_stats(id) FROM repositories")
    assert await api.value(counted) == 1
    head = (await branches.get()).head
    await branches.delete("shelves/ada/1", head)
    assert await api.value(counted) == 1
