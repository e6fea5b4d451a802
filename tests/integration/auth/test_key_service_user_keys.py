"""KeyService: keys with which others encrypt for a user."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import grpc
import pytest
from dits.auth.v1 import key_service_pb2 as pb
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from tests.support.api import Account, Api, read_error, refused
from tests.support.organizations import Studio
from tests.support.tokens import set_policy

DERIVATION: dict[str, Any] = {
    "algorithm": pb.KEY_DERIVATION_ALGORITHM_ARGON2ID,
    "salt": bytes(16),
    "memory_kib": 65_536,
    "passes": 3,
    "lanes": 1,
}


def content(public: bytes = b"public 1", private: bytes = b"sealed 1", **changes: Any) -> Any:
    """The fields of a request with a key."""
    derivation = pb.KeyDerivation(**DERIVATION | changes)
    return {
        "public_key": public,
        "encrypted_private_key": private,
        "key_derivation": derivation,
    }


async def put(api: Api, account: Account, **fields: Any) -> pb.UserKey:
    request = pb.PutUserKeyRequest(**(fields or content()))
    response = await api.keys.PutUserKey(request, metadata=account.auth)
    key: pb.UserKey = response.key
    return key


async def get(api: Api, account: Account, user: str = "", version: int = 0) -> pb.UserKey:
    request = pb.GetUserKeyRequest(user=user, key_version=version)
    response = await api.keys.GetUserKey(request, metadata=account.auth)
    key: pb.UserKey = response.key
    return key


async def rotate(api: Api, account: Account, current: int, **fields: Any) -> pb.UserKey:
    request = pb.RotateUserKeyRequest(current_version=current, **fields)
    response = await api.keys.RotateUserKey(request, metadata=account.auth)
    key: pb.UserKey = response.key
    return key


async def share_organisation(api: Api, *accounts: Account) -> None:
    """Makes the accounts members of one organisation."""
    name = f"studio{uuid.uuid4().hex[:8]}"
    org = await api.value(
        "INSERT INTO organizations (name, display_name) VALUES ($1, $1) RETURNING id", name
    )
    for account in accounts:
        await api.fetch(
            "INSERT INTO organization_members (org_id, user_id, role) VALUES ($1, $2, 'member')",
            org,
            account.id,
        )


async def test_a_key_is_stored_and_read_by_its_owner(api: Api) -> None:
    ada = await api.account("ada")
    stored = await put(api, ada)
    assert (stored.username, stored.key_version, stored.newest_version) == ("ada", 1, 1)
    assert stored.encrypted_private_key == b"sealed 1"
    assert stored.key_derivation == pb.KeyDerivation(**DERIVATION)
    assert not stored.HasField("rotate_time")
    for user in ("", "ada", "ADA", str(ada.id)):
        assert await get(api, ada, user) == stored
    # A repetition, and a new passphrase.
    assert await put(api, ada) == stored
    assert await api.value("SELECT count(*) FROM audit_log") == 1
    changed = await put(api, ada, **content(private=b"sealed 2", salt=bytes(32)))
    assert (changed.key_version, changed.encrypted_private_key) == (1, b"sealed 2")
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN") as refusal:
        await put(api, ada, **content(b"public 2"))
    assert refusal.message.endswith("is there already, with another public key")


async def test_versions_are_kept(api: Api) -> None:
    ada = await api.account("ada")
    first = await put(api, ada)
    second = await rotate(api, ada, 1, **content(b"public 2", b"sealed 2"))
    assert (second.key_version, second.newest_version) == (2, 2)
    assert await rotate(api, ada, 1, **content(b"public 2", b"sealed 2")) == second
    assert await get(api, ada) == second
    old = await get(api, ada, version=1)
    assert (old.public_key, old.newest_version) == (first.public_key, 2)
    assert old.rotate_time.ToMicroseconds() >= second.create_time.ToMicroseconds() - 1_000_000
    # The passphrase of an old version can be changed, too.
    assert (await put(api, ada, **content(private=b"again"))).key_version == 1
    for current in (1, 3):
        with refused(StatusCode.ABORTED, "KEY_ROTATED") as refusal:
            await rotate(api, ada, current, **content(b"public 3"))
        assert refusal.metadata == {"expected": str(current), "current": "2"}
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await get(api, ada, version=3)


async def test_of_two_rotations_one_wins(api: Api) -> None:
    ada = await api.account()
    await put(api, ada)
    results = await asyncio.gather(
        *(rotate(api, ada, 1, **content(b"public %d" % n)) for n in range(2, 6)),
        return_exceptions=True,
    )
    refusals = [read_error(r).reason for r in results if isinstance(r, grpc.aio.AioRpcError)]
    assert refusals == ["KEY_ROTATED"] * 3
    assert (await get(api, ada)).newest_version == 2


async def test_two_first_keys_at_once(api: Api) -> None:
    ada = await api.account()
    results = await asyncio.gather(
        *(put(api, ada, **content(b"public %d" % n)) for n in range(3)), return_exceptions=True
    )
    refusals = [read_error(r).reason for r in results if isinstance(r, grpc.aio.AioRpcError)]
    assert refusals == ["NAME_TAKEN"] * 2


async def test_who_shares_an_organisation_sees_the_public_part(api: Api) -> None:
    ada, bob, eve = [await api.account(name) for name in ("ada", "bob", "eve")]
    await put(api, ada)
    await rotate(api, ada, 1, **content(b"public 2", b"sealed 2"))
    await share_organisation(api, ada, bob)
    await share_organisation(api, eve)
    for version, public in ((0, b"public 2"), (1, b"public 1")):
        seen = await get(api, bob, "ada", version)
        assert (seen.public_key, seen.username, seen.user_id) == (public, "ada", str(ada.id))
        assert not seen.encrypted_private_key
        assert not seen.HasField("key_derivation")
    told = []
    for user in ("ada", "bob", "nobody"):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND") as refusal:
            await get(api, eve, user)
        told.append(refusal.message.replace(user, "…"))
    assert len(set(told)) == 1
    await api.fetch("DELETE FROM organization_members WHERE user_id = $1", bob.id)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await get(api, bob, "ada")


async def test_there_are_at_most_a_hundred_versions(api: Api) -> None:
    ada = await api.account()
    await put(api, ada)
    await api.fetch("UPDATE user_keys SET key_version = 100")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"):
        await rotate(api, ada, 100, **content(b"public 2"))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("public_key", content(b"")),
        ("public_key", content(bytes(4097))),
        ("encrypted_private_key", content(private=b"")),
        ("encrypted_private_key", content(private=bytes(16_385))),
        ("key_derivation.algorithm", content(algorithm=0)),
        ("key_derivation.algorithm", content(algorithm=9)),
        ("key_derivation.salt", content(salt=bytes(15))),
        ("key_derivation.salt", content(salt=bytes(65))),
        ("key_derivation.memory_kib", content(memory_kib=19_455)),
        ("key_derivation.passes", content(passes=0)),
        ("key_derivation.lanes", content(lanes=65)),
    ],
)
async def test_bad_fields(api: Api, name: str, fields: Any) -> None:
    ada = await api.account()
    for call in (put(api, ada, **fields), rotate(api, ada, 1, **fields)):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await call
        assert refusal.detail(BadRequest).field_violations[0].field == name


async def test_bad_names_and_versions(api: Api) -> None:
    ada = await api.account()
    for user, version in (("a b", 0), ("x" * 40, 0), ("", -1)):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await get(api, ada, user, version)
    for current in (0, -1):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await rotate(api, ada, current, **content())


async def test_each_change_has_an_audit_row_without_the_key(api: Api) -> None:
    ada = await api.account("ada")
    await put(api, ada)
    await rotate(api, ada, 1, **content(b"public 2", b"sealed 2"))
    rows = await api.fetch(
        'SELECT action, resource_name, details FROM audit_log ORDER BY "timestamp"'
    )
    assert [tuple(row) for row in rows] == [
        ("user_key.stored", "ada", '{"version": 1}'),
        ("user_key.rotated", "ada", '{"version": 2}'),
    ]


async def test_an_organisation_that_is_closed_to_the_caller_shows_no_keys(api: Api) -> None:
    studio = await Studio.open(api, "member")
    owner, member = studio.people["owner"], studio.people["member"]
    await put(api, owner)
    token = await studio.make_token("key:read")
    assert (await get(api, token, owner.username)).public_key == b"public 1"
    await set_policy(studio, needs_approval=True)
    # The first token may still be remembered as one that was let in.
    later = await studio.make_token("key:read")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await get(api, later, owner.username)
    await get(api, member, owner.username)
    let_in = await studio.make_token("key:read")
    await studio.approve(owner, let_in)
    await get(api, let_in, owner.username)
    await api.fetch("""UPDATE organizations SET settings = '{"require_mfa": true}'""")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await get(api, member, owner.username)
    await api.fetch("UPDATE users SET mfa_enabled = TRUE WHERE id = $1", member.id)
    await get(api, member, owner.username)
