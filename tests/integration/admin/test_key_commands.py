"""`dits-server admin rotate-server-key` and `reset-mfa`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dits.auth.v1.session_service_pb2 import LoginRequest
from dits.repo.v1.webhook_service_pb2 import (
    CreateWebhookRequest,
    DeleteWebhookRequest,
    RotateSecretRequest,
)
from structlog.testing import capture_logs

from services.admin.server_key import COLUMNS, rotate_secrets
from services.repo.webhooks.signatures import unseal_secret
from shared.db.pool import Database
from shared.records import sealed_columns
from shared.records.sealed_columns import ResealCount, reseal
from shared.runtime.config import Settings
from shared.runtime.server_key import ID_BYTES, ServerKey
from tests.integration.test_server_command import run
from tests.support.accounts import PASSWORD
from tests.support.api import Api, running_suite
from tests.support.mailed_links import read_mails
from tests.support.mfa import Guarded, enroll

OLD, NEW = "5e" * 32, "a7" * 32
KEY = ServerKey(bytes.fromhex(NEW), bytes.fromhex(OLD))
SEALS = """SELECT id, secret_encrypted AS sealed FROM webhooks
           UNION ALL SELECT id, previous_secret_encrypted FROM webhooks
           UNION ALL SELECT user_id, mfa_secret_encrypted FROM user_credentials
           UNION ALL SELECT user_id, mfa_pending_encrypted FROM user_credentials"""


async def _fill(api: Api) -> tuple[Guarded, Any]:
    """Makes two secrets of an account and two of a webhook; returns the account and the webhook."""
    guarded = await Guarded.make(api)
    await enroll(api, guarded.account)
    film = await api.repository(guarded.account)
    request = CreateWebhookRequest(repository=film.id, url="https://example.com/", events=["*"])
    made = await api.webhooks.CreateWebhook(request, metadata=guarded.account.auth)
    rotate = RotateSecretRequest(repository=film.id, webhook_id=made.webhook.id)
    rotated = await api.webhooks.RotateSecret(rotate, metadata=guarded.account.auth)
    return guarded, rotated


async def _ids(api: Api) -> set[bytes]:
    rows = await api.fetch(SEALS)
    assert len(rows) == 4
    return {row["sealed"][:ID_BYTES] for row in rows}


async def test_all_secrets_are_sealed_anew(api: Api, tmp_path: Path, settings: Settings) -> None:
    guarded, rotated = await _fill(api)
    before = await guarded.begin()
    environment = {
        "DITS_DATABASE_URL": api.dsn, "DITS_SERVER_KEY": NEW, "DITS_ACCEPTED_SERVER_KEY": OLD,
    }  # fmt: skip
    both = settings.model_copy(update={"server_key": NEW, "accepted_server_key": OLD})
    async with running_suite(api.dsn, both) as during:
        # What the other key has sealed is good, in the tables and with the clients.
        guarded.api = during
        await guarded.complete(before)
        told = run("admin", "rotate-server-key", cwd=tmp_path, **environment)
        assert told.returncode == 0, told.stderr
        assert told.stdout.count(": 1 sealed anew") == 4
        assert await _ids(api) == {KEY.id}
    # The old key is needed no more.
    alone = ServerKey(bytes.fromhex(NEW))
    [row] = await api.fetch("SELECT id, secret_encrypted AS sealed FROM webhooks")
    assert unseal_secret(alone, row["id"], row["sealed"]) == rotated.secret
    async with running_suite(api.dsn, settings.model_copy(update={"server_key": NEW})) as after:
        guarded.api = after
        await guarded.complete(await guarded.begin(), totp_code=guarded.code(1))
    details = "SELECT details FROM audit_log WHERE action = 'server_key.rotated'"
    assert await api.value(details) == '{"resealed": 4, "unreadable": 0}'
    refused = run("admin", "rotate-server-key", "--new", cwd=tmp_path, **environment)
    assert refused.returncode == 1
    assert "The key is set by DITS_SERVER_KEY" in refused.stderr


async def test_it_goes_on_after_a_crash(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        await Guarded.make(api)
    await _lose_one(api)
    database = await Database.connect(api.dsn, service="test", size=1)
    monkeypatch.setattr(sealed_columns, "BATCH", 1)
    # As if it had ended after the first column.
    assert await reseal(database, KEY, COLUMNS[0]) == ResealCount(2, 1)
    told = await rotate_secrets(database, KEY)
    await database.close()
    assert told[0] == "user_credentials.mfa_secret_encrypted: 0 sealed anew"
    assert "user_credentials.mfa_secret_encrypted: no key opens 1" in told


async def test_a_server_that_has_another_key_says_so(api: Api, settings: Settings) -> None:
    """The key before was given up."""
    await _fill(api)
    database = await Database.connect(api.dsn, service="test", size=1)
    await rotate_secrets(database, ServerKey(bytes.fromhex(NEW)), is_lost=True)
    await database.close()
    sealed_with = ServerKey(bytes.fromhex(OLD)).id.hex()
    for key, other in ((NEW, None), (NEW, OLD)):
        changed = settings.model_copy(update={"server_key": key, "accepted_server_key": other})
        with capture_logs() as logs:
            async with running_suite(api.dsn, changed):
                pass
        told = [entry for entry in logs if entry["log_level"] == "error"]
        assert [(entry["secrets"], entry["sealed_with"]) for entry in told] == (
            [] if other else [(2, sealed_with), (2, sealed_with)]
        )


async def test_a_deleted_webhook_has_no_secret_that_a_key_must_open(
    api: Api, settings: Settings
) -> None:
    guarded, rotated = await _fill(api)
    deletion = DeleteWebhookRequest(
        repository=rotated.webhook.repository_id, webhook_id=rotated.webhook.id
    )
    await api.webhooks.DeleteWebhook(deletion, metadata=guarded.account.auth)
    with capture_logs() as logs:
        async with running_suite(api.dsn, settings):
            pass
    assert not [entry for entry in logs if entry["log_level"] == "error"]
    database = await Database.connect(api.dsn, service="test", size=1)
    told = await rotate_secrets(database, KEY)
    await database.close()
    assert not [line for line in told if "no key opens" in line]


async def _lose_one(api: Api) -> None:
    """Makes an account whose secret no key opens."""
    lost = await Guarded.make(api)
    sealed = ServerKey(b"x" * 32).seal(b"secret", b"context")
    await api.fetch(
        "UPDATE user_credentials SET mfa_secret_encrypted = $2 WHERE user_id = $1",
        lost.account.id, sealed,
    )  # fmt: skip


async def test_the_operator_takes_a_second_factor_away(api: Api, tmp_path: Path) -> None:
    guarded = await Guarded.make(api)
    name = guarded.account.username

    def reset(username: str) -> str:
        done = run(
            "admin",
            "reset-mfa",
            username,
            cwd=tmp_path,
            DITS_DATABASE_URL=api.dsn,
            DITS_SERVER_KEY=OLD,
        )
        return done.stdout + done.stderr

    assert reset(name.upper()) == f"The password alone opens {name.upper()} now.\n"
    assert reset(name) == f"{name} has no second factor.\n"
    assert reset("nobody-at-all") == "dits-server: user 'nobody-at-all' not found\n"
    login = LoginRequest(login=name, password=PASSWORD)
    assert (await api.sessions.Login(login)).WhichOneof("outcome") == "session"
    told = await read_mails(api, ServerKey(bytes.fromhex(OLD)), "second_factor")
    assert told[-1][1]["what"] == "taken away by the operator"
    rows = await api.fetch("SELECT actor_type FROM audit_log WHERE action = 'mfa.disabled'")
    assert [row["actor_type"] for row in rows] == ["system"]
