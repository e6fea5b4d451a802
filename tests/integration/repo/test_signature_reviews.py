"""Signatures are judged again when keys change, and the accounts that have them."""

from __future__ import annotations

import pytest
from dits.auth.v1.account_service_pb2 import VerifyEmailRequest
from dits.auth.v1.key_service_pb2 import DeleteSshKeyRequest

from services.auth.accounts.statuses import (
    end_suspensions,
    reinstate_account,
    suspend_account,
)
from services.repo.history.signatures import SignatureReview
from shared.db.pool import Database
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from tests.support.api import Api
from tests.support.branches import Branches
from tests.support.mailed_links import read_tokens, register
from tests.support.notifications import until
from tests.support.signatures import make_commit, push_signed, sign_commit, sign_tag
from tests.support.ssh import make_key, needs_ssh, sign
from tests.support.ssh_accounts import add_key
from tests.support.tags import Tags, annotate

pytestmark = needs_ssh

VERIFY = "UPDATE users SET email_verified = TRUE"


async def until_verdict(api: Api, verdict: str) -> None:
    """Waits until all signatures have a verdict."""
    await until(
        api,
        f"""SELECT NOT EXISTS (SELECT FROM commits WHERE signature_verdict <> '{verdict}')
            AND NOT EXISTS (SELECT FROM tags WHERE signature_verdict <> '{verdict}')""",
    )


async def test_signatures_are_judged_again_when_keys_change(api: Api) -> None:
    branches = await Branches.open(api)
    await api.fetch(VERIFY)
    key = make_key("ed25519")
    tree, made = await make_commit(branches, "1")
    head = await push_signed(branches, made, [sign_commit(key, made)], tree)
    said = annotate()
    said.tagger.email = f"{branches.who.username}@example.com"
    await Tags(branches, branches.who).create("v1", head, sign_tag(key, "v1", head, said))
    await until_verdict(api, "unknown_key")
    added = await add_key(api, branches.who, key)
    await until_verdict(api, "good")
    assert await api.value("SELECT signature_verified FROM tags")
    request = DeleteSshKeyRequest(key_id=added.id)
    await api.keys.DeleteSshKey(request, metadata=branches.who.auth)
    await until_verdict(api, "unknown_key")
    assert not await api.value("SELECT signature_verified FROM commits")


async def test_signatures_are_judged_again_when_the_address_is_verified(
    api: Api, settings: Settings
) -> None:
    who = await register(api)
    branches = Branches(api, await api.repository(who), who)
    key = make_key("ed25519")
    await add_key(api, who, key)
    tree, made = await make_commit(branches, "1")
    await push_signed(branches, made, [sign_commit(key, made)], tree)
    await until_verdict(api, "unverified_address")
    server_key = ServerKey.load(settings.server_key, settings.data_dir)
    [token] = await read_tokens(api, server_key, "verify_email")
    await api.accounts.VerifyEmail(VerifyEmailRequest(token=token))
    await until_verdict(api, "good")


async def test_signatures_are_judged_again_when_the_account_changes(
    api: Api, settings: Settings
) -> None:
    branches = await Branches.open(api)
    await api.fetch(VERIFY)
    key = make_key("ed25519")
    await add_key(api, branches.who, key)
    tree, made = await make_commit(branches, "1")
    await push_signed(branches, made, [sign_commit(key, made)], tree)
    await until_verdict(api, "good")
    server_key = ServerKey.load(settings.server_key, settings.data_dir)
    username = branches.who.username
    database = await Database.connect(api.dsn, service="auth", size=1)
    try:
        await database.transaction(
            lambda connection: suspend_account(connection, server_key, username, "test", None)
        )
        await until_verdict(api, "inactive_account")
        await database.transaction(lambda connection: reinstate_account(connection, username))
        await until_verdict(api, "good")
        await database.transaction(
            lambda connection: suspend_account(connection, server_key, username, "test", None)
        )
        await until_verdict(api, "inactive_account")
        await api.fetch("UPDATE users SET status_until = now() WHERE status = 'suspended'")
        await end_suspensions(database)
        await until_verdict(api, "good")
    finally:
        await database.close()


async def test_all_signatures_are_judged_every_night(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.repo.history.signatures.BATCH", 2)
    branches = await Branches.open(api)
    parent = ""
    for number in range(5):
        tree, made = await make_commit(branches, str(number), parent)
        key = make_key("ed25519", number % 2)
        # The last one stays as it is, whatever happens to keys and accounts.
        signature = sign(key, b"", "dits-commit-v1") if number == 4 else sign_commit(key, made)
        parent = await push_signed(branches, made, [signature], tree, parent=parent)
    await add_key(api, branches.who, make_key("ed25519"))
    await until(api, "SELECT bool_or(signature_verdict = 'unverified_address') FROM commits")
    await api.fetch(VERIFY)
    database = await Database.connect(api.dsn, service="test", size=1)
    try:
        review, judged = SignatureReview(database, None), []
        while count := await review.judge_next():
            judged.append(count)
    finally:
        await database.close()
    assert judged == [2, 2, 1]
    rows = await api.fetch("SELECT signature_verdict AS v FROM commits ORDER BY generation")
    assert [row["v"] for row in rows] == ["good", "unknown_key", "good", "unknown_key", "bad"]
