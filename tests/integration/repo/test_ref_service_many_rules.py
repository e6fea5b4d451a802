"""Many rules and many branches in one push: judged beside the event loop, and not without end."""

from __future__ import annotations

import pytest
from dits.common.v1.permission_pb2 import PERMISSION_ADMIN
from dits.repo.v1.ref_protection_pb2 import BranchProtection, BranchRule, RestrictedPaths
from dits.repo.v1.ref_service_pb2 import GetBranchRulesResponse
from google.protobuf import json_format
from grpc import StatusCode

from services.repo.history import protection
from tests.support.api import Api, refused
from tests.support.branches import Branches, members, open_pair
from tests.support.trees import push, save, update


async def set_rules(branches: Branches, *rules: BranchRule) -> None:
    """Sets all rules at once."""
    text = json_format.MessageToJson(GetBranchRulesResponse(rules=rules))
    await branches.api.fetch("UPDATE repository_settings SET branch_rules = $1::text::jsonb", text)


async def test_a_thousand_branches_are_held_against_fifty_rules(api: Api) -> None:
    branches, bob = await open_pair(api)
    head = await branches.save("1")
    only_admins = BranchProtection(required_permission=PERMISSION_ADMIN)
    await set_rules(
        branches,
        *(BranchRule(pattern=f"**/*a*b*{n}/**/z*", protection=only_admins) for n in range(50)),
    )
    names = [f"{'ab' * 90}/{n}" for n in range(1_000)]
    await push(api, bob.who, bob.repository, [], [update(name, "", head) for name in names])
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED"):
        await bob.create("ab49/z", head)


async def test_too_much_to_judge_is_refused(api: Api) -> None:
    branches, bob = await open_pair(api)
    head = await branches.save("1")
    patterns = [f"{n}{'x' * 250}" for n in range(100)]
    paths = [RestrictedPaths(patterns=patterns) for _ in range(2)]
    await set_rules(
        branches, BranchRule(pattern="*", protection=BranchProtection(restricted_paths=paths))
    )
    many = [update(f"b{n}", "", head) for n in range(100)]
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await push(api, bob.who, bob.repository, [], many)
    await push(api, bob.who, bob.repository, [], many[:50])


async def test_each_rule_that_is_bypassed_leaves_a_trace(api: Api) -> None:
    branches, bob = await open_pair(api)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    await branches.create("side", second)
    for pattern in ("side", "s*"):
        rule = BranchProtection(
            required_permission=PERMISSION_ADMIN,
            forbid_force=True,
            require_signatures=True,
            restricted_paths=[RestrictedPaths(patterns=["a"])],
            bypass=members(bob.who.id),
        )
        await branches.set_rule(pattern, rule)
    await bob.update("side", second, first, force=True)
    await bob.update("side", first, second)
    rows = await api.fetch(
        "SELECT details::jsonb ->> 'rule' AS rule FROM audit_log"
        " WHERE action = 'branch.protection_bypassed' ORDER BY timestamp"
    )
    # Two rules that say the same are broken once.
    back, forward = rows[:3], rows[3:]
    assert {row["rule"] for row in back} == {"permission", "force", "restricted_paths"}
    assert {row["rule"] for row in forward} == {"permission", "restricted_paths", "signatures"}


async def test_many_paths_against_many_patterns_have_time_and_a_bound(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    branches, bob = await open_pair(api)
    first = await branches.save("1")
    paths = [RestrictedPaths(patterns=[f"{n}.psd"]) for n in range(4)]
    await branches.protect(BranchProtection(restricted_paths=paths))
    async with api.connected() as connection:
        await connection.execute(
            """CREATE FUNCTION note() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
                   NEW.created_from := current_setting('idle_in_transaction_session_timeout');
                   RETURN NEW;
               END $$;
               CREATE TRIGGER note BEFORE UPDATE ON branches FOR EACH ROW EXECUTE FUNCTION note()"""
        )
    noted = "SELECT created_from FROM branches WHERE name = 'main'"
    files = {f"f{n}": b"" for n in range(600)}
    second = await save(api, bob.who, bob.repository, {"a": b"1"} | files, parent=first)
    assert await api.value(noted) == "5min"
    await branches.save("2", parent=second)
    monkeypatch.setattr(protection, "MOST_MATCHES", 4 * 601 - 1)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await save(api, bob.who, bob.repository, files, parent=(await branches.get()).head)


async def test_many_branches_that_move_far_are_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    branches = await Branches.open(api)
    heads = [await branches.save("0")]
    for n in range(1, 6):
        heads.append(await branches.save(str(n), parent=heads[-1]))
    names = [f"b{n}" for n in range(4)]
    for name in names:
        await branches.create(name, heads[0])
    monkeypatch.setattr(protection, "MOST_STEPS", 11)
    moves = [update(name, heads[0], heads[-1]) for name in names]
    # Each passes six commits; only what came before counts.
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await push(api, branches.who, branches.repository, [], moves)
    await push(api, branches.who, branches.repository, [], moves[:2])
    assert [each.head == heads[-1] for each in await branches.list()] == [
        True,
        True,
        False,
        False,
        True,
    ]
