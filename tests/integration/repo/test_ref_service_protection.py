"""The protection of branches: what may be set, and what it forbids, whichever RPC moves the branch."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from dits.common.v1.permission_pb2 import PERMISSION_ADMIN
from dits.repo.v1.ref_protection_pb2 import BranchProtection, RestrictedPaths
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest
from grpc import StatusCode

from shared.formats.commits import commit_hash
from tests.support.api import Api, refused
from tests.support.branches import Branches, members, open_pair
from tests.support.organizations import Studio
from tests.support.teams import Crew
from tests.support.trees import build, commit, push, save, update, upload


async def test_a_protected_branch_is_not_moved_backwards_or_removed(api: Api) -> None:
    branches, bob = await open_pair(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    await branches.create("side", second)
    await branches.protect(BranchProtection(forbid_force=True, forbid_deletion=True), "side")
    moves = [update("side", second, first, force=True)]
    calls: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("force", lambda: push(api, branches.who, branches.repository, [], moves)),
        ("force", lambda: branches.update("side", second, first, force=True)),
        ("deletion", lambda: branches.delete("side", second)),
        ("deletion", lambda: branches.rename("side", "other")),
    ]
    for rule, call in calls:
        with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
            await call()
        assert refusal.metadata == {"branch": "side", "rule": rule}
    # Else who may not bypass a protection could make the branch again without.
    await branches.protect(BranchProtection(forbid_force=True), "side")
    for remove in (lambda: bob.delete("side", second), lambda: bob.rename("side", "other")):
        with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
            await remove()
        assert refusal.metadata["rule"] == "permission"
    assert (await branches.rename("side", "other")).protection.forbid_force
    await branches.delete("other", second)


async def test_a_branch_that_only_administrators_move(api: Api) -> None:
    branches, bob = await open_pair(api)
    first = await branches.save("1")
    await branches.protect(BranchProtection(required_permission=PERMISSION_ADMIN))
    second = await branches.save("2", parent=first)
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
        await bob.save("3", parent=second)
    assert refusal.metadata == {"branch": "main", "rule": "permission"}
    await bob.create("side", second)
    third = await bob.save("3", parent=second, branch="side")
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED"):
        await bob.update("main", second, third)
    assert (await branches.update("main", second, third)).head == third


async def test_a_linear_history_takes_no_merges(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    left = await branches.save("2", parent=first)
    await branches.create("side", first)
    right = await branches.save("3", parent=first, branch="side")
    tree = build({"a": b"2"})
    merge = commit(tree, left, right)
    after = commit(tree, commit_hash(merge))
    await push(
        api, branches.who, branches.repository, [merge, after],
        [update("merged", "", commit_hash(after))],
    )  # fmt: skip
    await branches.protect(BranchProtection(require_linear_history=True))
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
        await branches.update("main", left, commit_hash(after))
    assert refusal.metadata == {
        "branch": "main",
        "rule": "linear_history",
        "commit": commit_hash(merge),
    }
    # A merge that the branch has already is no fault of what comes after it.
    await branches.protect(BranchProtection(require_linear_history=True), "merged")
    await branches.save("4", parent=commit_hash(after), branch="merged")
    await branches.save("4", parent=left)


async def test_only_members_change_restricted_paths(api: Api) -> None:
    studio = await Studio.open(api, "member", "admin")
    owner, artist, other = (studio.people[role] for role in ("owner", "member", "admin"))
    request = CreateRepositoryRequest(owner=studio.name, name="film")
    request.settings.require_lock_for_edit = False
    made = await api.repositories.CreateRepository(request, metadata=owner.auth)
    repository = made.repository
    await api.grant(repository, artist, "write")
    team = await Crew.open(studio)
    await api.fetch("INSERT INTO team_members VALUES ($1, $2)", team.team.id, artist.id)
    branches = Branches(api, repository, owner)
    files = {"look/a.psd": b"1", "look/sketch/b.psd": b"1", "c": b"1"}
    head = await save(api, owner, repository, files)
    restricted = RestrictedPaths(
        patterns=["*.psd", "!sketch/"], allowed=members(teams=(team.team.id,))
    )
    await branches.protect(BranchProtection(restricted_paths=[restricted]))
    head = await save(api, other, repository, files | {"c": b"2"}, parent=head)
    head = await save(api, other, repository, files | {"look/sketch/b.psd": b"2"}, parent=head)
    for changed in (files | {"look/a.psd": b"2"}, {"c": b"1"}, {"look/a.psd/new": b"1"}):
        with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
            await save(api, other, repository, changed, parent=head)
        assert refusal.metadata["path"] in ("look/a.psd", "look/a.psd/new")
    head = await save(api, artist, repository, files | {"look/a.psd": b"2"}, parent=head)
    # A team of another organisation does not count, and a team that is gone has no members.
    await api.fetch("DELETE FROM teams")
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED"):
        await save(api, artist, repository, files, parent=head)


async def test_a_merge_does_not_carry_a_change_past_the_protection(api: Api) -> None:
    branches, bob = await open_pair(api)
    first = await branches.save("1")
    await bob.create("side", first)
    changed = await bob.save("2", parent=first, branch="side")
    restricted = RestrictedPaths(patterns=["a"], allowed=members(branches.who.id))
    await branches.protect(BranchProtection(restricted_paths=[restricted]))
    side = await save(api, branches.who, branches.repository, {"a": b"1", "b": b"1"}, parent=first)
    tree = build({"a": b"2", "b": b"1"})
    await upload(api, bob.who, branches.repository, tree.chunks)
    # Against the other parent nothing is changed that was not there.
    merge = commit(tree, side, changed)
    moves = [update("main", side, commit_hash(merge))]
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
        await push(api, bob.who, branches.repository, [merge], moves, [tree])
    assert refusal.metadata == {"branch": "main", "rule": "restricted_paths", "path": "a"}
    assert (await branches.get()).head == side
    await push(api, branches.who, branches.repository, [merge], moves, [tree])


async def test_unsigned_commits_are_refused(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    await branches.protect(BranchProtection(require_signatures=True))
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
        await branches.save("2", parent=first)
    assert refusal.metadata["rule"] == "signatures"
    await branches.create("side", first)
    second = await branches.save("2", parent=first, branch="side")
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
        await branches.update("main", first, second)
    assert refusal.metadata["commit"] == second
    await api.fetch(
        """UPDATE commits SET signature = 'x', signature_key = 'x', signature_email = 'x',
           signature_verdict = 'good', signature_verified = TRUE WHERE hash = $1""",
        second,
    )
    await branches.update("main", first, second)


async def test_who_may_bypass_a_protection_leaves_a_trace(api: Api) -> None:
    branches, bob = await open_pair(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    protection = BranchProtection(forbid_force=True, forbid_deletion=True)
    protection.bypass.user_ids.append(str(bob.who.id))
    await branches.create("side", second)
    await branches.protect(protection, "side")
    await bob.update("side", second, first, force=True)
    await bob.rename("side", "other")
    await bob.delete("other", first)
    rows = await api.fetch(
        """SELECT resource_name, details, actor_id FROM audit_log
           WHERE action = 'branch.protection_bypassed' ORDER BY timestamp"""
    )
    told = [(row["resource_name"], json.loads(row["details"])["rule"]) for row in rows]
    assert told == [("side", "force"), ("side", "deletion"), ("other", "deletion")]
    assert {row["actor_id"] for row in rows} == {bob.who.id}
    # What breaks no rule is no bypass.
    await branches.protect(protection)
    await bob.save("3", parent=second)
    assert len(await api.fetch("SELECT FROM audit_log WHERE action ~ 'bypassed'")) == 3
