"""Setting the protection of branches: what may be set, by whom, and what is told of it."""

from __future__ import annotations

import json

import pytest
from dits.common.v1.permission_pb2 import PERMISSION_ADMIN, PERMISSION_READ, PERMISSION_WRITE
from dits.repo.v1.ref_protection_pb2 import BranchProtection, RestrictedPaths, TagProtection
from dits.repo.v1.ref_service_pb2 import SetTagProtectionRequest
from google.protobuf import json_format
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.branches import Branches, members, open_pair

ABSENT = "00000000-0000-0000-0000-000000000000"


async def test_a_protection_is_set_and_read(api: Api) -> None:
    branches, bob = await open_pair(api)
    await branches.save("1")
    protection = BranchProtection(
        forbid_force=True,
        required_permission=PERMISSION_ADMIN,
        restricted_paths=[RestrictedPaths(patterns=["*.psd"], allowed=members(bob.who.id))],
        bypass=members(branches.who.id),
    )
    protected = await branches.protect(protection)
    assert protected.protection == protection
    assert await branches.protect(protection) == protected
    assert (await bob.get("main")).protection == protection
    # What is the default, or nobody, is not stored.
    shorter = BranchProtection(required_permission=PERMISSION_WRITE, bypass=members())
    assert not (await branches.protect(shorter, "")).HasField("protection")
    assert not (await branches.get()).HasField("protection")
    rows = await api.fetch(
        "SELECT details FROM audit_log WHERE resource_type = 'branch' ORDER BY timestamp"
    )
    told = [json.loads(row["details"])["protection"] for row in rows]
    assert ["forbid_force" in text for text in told] == [True, False]
    events = await api.fetch("SELECT payload FROM events WHERE type = 'branch.protection_changed'")
    assert len(events) == 2
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await bob.protect(protection)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await branches.protect(protection, "side")


@pytest.mark.parametrize(
    ("protection", "field"),
    [
        (BranchProtection(required_permission=PERMISSION_READ), "required_permission"),
        (BranchProtection(required_permission=9), "required_permission"),  # type: ignore[arg-type]
        (BranchProtection(restricted_paths=[RestrictedPaths()]), "restricted_paths[0].patterns"),
        (
            BranchProtection(restricted_paths=[RestrictedPaths(patterns=["!"])]),
            "restricted_paths[0].patterns",
        ),
        (BranchProtection(bypass=members("ada")), "bypass.user_ids"),
        (BranchProtection(bypass=members(ABSENT)), "protection.bypass.user_ids"),
        (BranchProtection(bypass=members(teams=(ABSENT,))), "protection.bypass.team_ids"),
        (
            BranchProtection(
                restricted_paths=[
                    RestrictedPaths(patterns=["a"]),
                    RestrictedPaths(patterns=["a"], allowed=members(ABSENT)),
                ]
            ),
            "protection.restricted_paths[1].allowed.user_ids",
        ),
    ],
)
async def test_what_is_no_protection(api: Api, protection: BranchProtection, field: str) -> None:
    branches = await Branches.open(api)
    await branches.save("1")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await branches.protect(protection)
    assert field in str(refusal.details)


async def test_who_is_gone_does_not_keep_a_protection_from_being_changed(api: Api) -> None:
    branches = await Branches.open(api)
    await branches.save("1")
    gone = BranchProtection(bypass=members(ABSENT, teams=(ABSENT,)))
    gone.restricted_paths.add(patterns=["a"], allowed=members(ABSENT))
    await api.fetch(
        "UPDATE branches SET protection = $1::text::jsonb",
        json_format.MessageToJson(gone, preserving_proto_field_name=True),
    )
    read = (await branches.get()).protection
    assert read == gone
    read.forbid_force = True
    assert (await branches.protect(read)).protection == read
    read.restricted_paths[0].allowed.user_ids[:] = [ABSENT.replace("0", "1")]
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await branches.protect(read)
    assert "protection.restricted_paths[0].allowed.user_ids" in str(refusal.details)
    allowed = TagProtection(patterns=["v*"], allowed=members(ABSENT))
    request = SetTagProtectionRequest(repository=branches.repository.id, protection=allowed)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await api.refs.SetTagProtection(request, metadata=branches.who.auth)
    assert "protection.allowed.user_ids" in str(refusal.details)
    await api.fetch(
        "UPDATE repository_settings SET tag_protection = $1::text::jsonb",
        json_format.MessageToJson(allowed, preserving_proto_field_name=True),
    )
    request.protection.patterns.append("w*")
    await api.refs.SetTagProtection(request, metadata=branches.who.auth)


async def test_lists_of_a_protection_are_bounded(api: Api) -> None:
    branches = await Branches.open(api)
    await branches.save("1")
    paths = [RestrictedPaths(patterns=["a"])] * 21
    for protection in (
        BranchProtection(restricted_paths=paths),
        BranchProtection(bypass=members(*[ABSENT] * 101)),
    ):
        with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
            await branches.protect(protection)
