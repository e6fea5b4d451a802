"""KeyService: SSH keys are added with a proof, listed and deleted."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from datetime import timedelta

import grpc
import pytest
from dits.auth.v1.key_service_pb2 import (
    AddSshKeyRequest,
    CreateKeyChallengeRequest,
    DeleteSshKeyRequest,
    ListSshKeysRequest,
)
from google.rpc.error_details_pb2 import BadRequest, ResourceInfo
from grpc import StatusCode

from services.auth.credentials.one_time_tokens import LIFE, Purpose
from tests.support.api import Api, read_error, refused
from tests.support.ssh import (
    TAKEN,
    armor,
    make_key,
    make_security_keys,
    needs_ssh,
    public_line,
    run_command,
    sign,
)
from tests.support.ssh_accounts import add_key, key_challenge, key_request

pytestmark = needs_ssh


@pytest.mark.parametrize("kind", TAKEN)
async def test_a_key_is_added_and_listed(api: Api, kind: str) -> None:
    ada = await api.account()
    added = await add_key(api, ada, make_key(kind), "my desk")
    shown = run_command("ssh-keygen", "-l", "-f", make_key(kind)).decode().split()[1]
    assert (added.name, added.fingerprint) == ("my desk", shown)
    assert f"{added.public_key} ada@desk\n" == public_line(make_key(kind))
    assert added.key_type == added.public_key.split()[0]
    assert not added.HasField("last_use_time")
    listed = await api.keys.ListSshKeys(ListSshKeysRequest(), metadata=ada.auth)
    assert list(listed.keys) == [added]


async def test_keys_of_security_keys_are_added(api: Api) -> None:
    ada = await api.account()
    for stick in make_security_keys():
        challenge = await key_challenge(api, ada)
        request = AddSshKeyRequest(
            name="stick",
            public_key=stick.line,
            challenge=challenge,
            signature=armor(stick.sign(challenge.encode(), "dits-key-v1")),
        )
        added = (await api.keys.AddSshKey(request, metadata=ada.auth)).key
        assert added.key_type == stick.name.decode()


async def test_keys_are_paged_newest_first(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    added = [(await add_key(api, ada, make_key("ed25519", n))).id for n in range(3)]
    await add_key(api, bob, make_key("ed25519", 3))
    first = await api.keys.ListSshKeys(ListSshKeysRequest(page_size=2), metadata=ada.auth)
    rest = await api.keys.ListSshKeys(
        ListSshKeysRequest(page_token=first.next_page_token), metadata=ada.auth
    )
    assert [key.id for key in (*first.keys, *rest.keys)] == added[::-1]
    assert not rest.next_page_token
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await api.keys.ListSshKeys(
            ListSshKeysRequest(page_token=first.next_page_token), metadata=bob.auth
        )


async def test_whose_a_taken_key_is_is_not_told(api: Api) -> None:
    ada, bob = await api.account("ada"), await api.account("bob")
    added = await add_key(api, ada)
    told = []
    for account in (ada, bob):
        request = await key_request(api, account, make_key("ed25519"))
        with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN") as refusal:
            await api.keys.AddSshKey(request, metadata=account.auth)
        assert refusal.detail(ResourceInfo).resource_name == added.fingerprint
        told.append((refusal.message, str(refusal.details)))
    assert told[0] == told[1]
    assert "ada" not in told[0][0]


async def test_two_accounts_want_one_key_at_once(api: Api) -> None:
    accounts = [await api.account() for _ in range(4)]
    requests = [await key_request(api, account, make_key("ed25519")) for account in accounts]
    results = await asyncio.gather(
        *(
            api.keys.AddSshKey(request, metadata=account.auth)
            for account, request in zip(accounts, requests, strict=True)
        ),
        return_exceptions=True,
    )
    refusals = [read_error(r).reason for r in results if isinstance(r, grpc.aio.AioRpcError)]
    assert refusals == ["NAME_TAKEN"] * 3
    assert await api.value("SELECT count(*) FROM ssh_keys") == 1


async def test_a_proof_is_good_once(api: Api) -> None:
    ada = await api.account()
    request = await key_request(api, ada, make_key("ed25519"))
    request.request_id = str(uuid.uuid4())
    first = await api.keys.AddSshKey(request, metadata=ada.auth)
    assert await api.keys.AddSshKey(request, metadata=ada.auth) == first
    await api.keys.DeleteSshKey(DeleteSshKeyRequest(key_id=first.key.id), metadata=ada.auth)
    request.request_id = ""
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await api.keys.AddSshKey(request, metadata=ada.auth)
    assert refusal.detail(BadRequest).field_violations[0].field == "challenge"
    request.request_id, request.name = str(uuid.uuid4()), ""
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.keys.AddSshKey(request, metadata=ada.auth)


@pytest.mark.parametrize("what", ["key", "message", "namespace", "account", "login", "nonsense"])
async def test_what_proves_nothing_is_refused(api: Api, what: str) -> None:
    ada, bob = await api.account(), await api.account()
    mine, other = make_key("ed25519"), make_key("ed25519", 1)
    request = await key_request(api, ada, mine)
    field = "challenge" if what in ("account", "login") else "signature"
    if what == "key":
        request.signature = sign(other, request.challenge, "dits-key-v1")
    elif what == "message":
        request.signature = sign(mine, request.challenge + "\n", "dits-key-v1")
    elif what == "namespace":
        request.signature = sign(mine, request.challenge, "dits-login-v1")
    elif what == "account":
        request = await key_request(api, bob, mine)
    elif what == "login":
        request.challenge = request.challenge[:-4] + "AAAA"
        request.signature = sign(mine, request.challenge, "dits-key-v1")
    else:
        request.signature = "-----BEGIN SSH SIGNATURE-----"
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await api.keys.AddSshKey(request, metadata=ada.auth)
    assert refusal.detail(BadRequest).field_violations[0].field == field


async def test_a_proof_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await api.account()
    monkeypatch.setitem(LIFE, Purpose.SSH_KEY_PROOF, timedelta(0))
    request = await key_request(api, ada, make_key("ed25519"))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await api.keys.AddSshKey(request, metadata=ada.auth)
    assert refusal.detail(BadRequest).field_violations[0].field == "challenge"


async def test_a_private_key_is_refused_and_not_repeated(
    api: Api, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    ada = await api.account()
    request = await key_request(api, ada, make_key("ed25519"))
    secret = make_key("ed25519").read_text()
    request.public_key = secret
    with (
        caplog.at_level(logging.DEBUG),
        refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal,
    ):
        await api.keys.AddSshKey(request, metadata=ada.auth)
    line = secret.splitlines()[2]
    printed = capsys.readouterr()
    said = (refusal.message, str(refusal.details), caplog.text, printed.out, printed.err)
    assert all(line not in text and "BEGIN" not in text for text in said)
    assert "private key" in refusal.message


@pytest.mark.parametrize("kind", ["rsa-1024", "rsa-2048", "dsa"])
async def test_weak_keys_are_refused(api: Api, kind: str) -> None:
    ada = await api.account()
    request = await key_request(api, ada, make_key("ed25519"))
    request.public_key = public_line(make_key(kind))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await api.keys.AddSshKey(request, metadata=ada.auth)
    assert refusal.detail(BadRequest).field_violations[0].field == "public_key"


async def test_an_account_has_fifty_keys(api: Api) -> None:
    ada = await api.account()
    await api.fetch(
        """INSERT INTO ssh_keys (user_id, name, public_key, fingerprint, key_type)
           SELECT $1, 'n', 'p', 'SHA256:' || n, 'ssh-ed25519' FROM generate_series(1, 49) AS n""",
        ada.id,
    )
    requests = [await key_request(api, ada, make_key("ed25519", n)) for n in range(2)]
    results = await asyncio.gather(
        *(api.keys.AddSshKey(request, metadata=ada.auth) for request in requests),
        return_exceptions=True,
    )
    [refusal] = [read_error(r) for r in results if isinstance(r, grpc.aio.AioRpcError)]
    assert (refusal.code, refusal.reason) == (StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
    assert refusal.metadata["limit"] == "50"


async def test_only_ones_own_keys_are_deleted(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    added = await add_key(api, ada)
    delete = DeleteSshKeyRequest(key_id=added.id)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.keys.DeleteSshKey(delete, metadata=bob.auth)
    await api.keys.DeleteSshKey(delete, metadata=ada.auth)
    for gone in (delete, DeleteSshKeyRequest(key_id=str(uuid.uuid4()))):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await api.keys.DeleteSshKey(gone, metadata=ada.auth)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.keys.DeleteSshKey(DeleteSshKeyRequest(key_id="x"), metadata=ada.auth)
    # It is free for others again.
    assert (await add_key(api, bob)).fingerprint == added.fingerprint


async def test_each_change_has_an_audit_row(api: Api) -> None:
    ada = await api.account()
    added = await add_key(api, ada)
    await api.keys.DeleteSshKey(DeleteSshKeyRequest(key_id=added.id), metadata=ada.auth)
    rows = await api.fetch(
        'SELECT action, resource_id, details FROM audit_log ORDER BY "timestamp"'
    )
    assert [(row["action"], row["resource_id"]) for row in rows] == [
        ("ssh_key.added", added.id),
        ("ssh_key.deleted", added.id),
    ]
    assert {json.loads(row["details"])["fingerprint"] for row in rows} == {added.fingerprint}


async def test_scopes(api: Api) -> None:
    ada = await api.account()
    reader = await api.api_token(ada, "key:read")
    await api.keys.ListSshKeys(ListSshKeysRequest(), metadata=reader.auth)
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await api.keys.CreateKeyChallenge(CreateKeyChallengeRequest(), metadata=reader.auth)
