"""`dits-server admin` as its operator sees it."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from dits.auth.v1 import audit_service_pb2 as pb

from services.admin import commands
from services.auth.credentials.operator_tokens import create_operator_token
from shared.db.pool import Database
from shared.errors import DomainError
from shared.formats import credentials
from shared.runtime.config import ConfigError
from tests.integration.test_server_command import run
from tests.support.api import Account, Api
from tests.support.audit import list_events

SEALED = "SELECT seal_audit_rows(10)"


async def test_the_check_tells_what_it_found_and_keeps_to_what_was_kept(
    tmp_path: Path, api: Api
) -> None:
    await api.repository(await api.account())
    while not await api.value("SELECT count(*) FROM audit_seals"):
        await api.value(SEALED)
    environment = {"DITS_DATABASE_URL": api.dsn}
    told = run("admin", "verify-audit", "--json", cwd=tmp_path, **environment)
    assert told.returncode == 0
    report = json.loads(told.stdout)
    assert (report["intact"], report["unsealed"]) == (True, 0)
    [(month, chain)] = report["months"].items()
    assert (chain["length"], len(chain["head"]), chain["fault"]) == (1, 64, None)
    (tmp_path / "kept.json").write_text(told.stdout)

    await api.fetch("UPDATE audit_chains SET head = sha256('')")
    broken = run("admin", "verify-audit", "--expect", "kept.json", cwd=tmp_path, **environment)
    assert broken.returncode == 1
    assert broken.stdout.splitlines()[0].startswith(
        f"{month}           1 rows  e3b0c44298fc1c14  BROKEN: "
    )
    assert broken.stderr == ""


@pytest.mark.parametrize("text", ["", "[]", '{"months": {"2020": {}}}'])
def test_a_file_of_something_else_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "kept").write_text(text)
    with pytest.raises(ConfigError, match="kept is not what verify-audit --json prints"):
        commands.read_heads(tmp_path / "kept")


async def test_dead_events_are_listed_requeued_and_dropped(tmp_path: Path, api: Api) -> None:
    emit = "SELECT emit_event('push', NULL, NULL, NULL, '{}')"
    ids = [await api.value(emit) for _ in range(2)]
    await api.fetch(
        """INSERT INTO dead_events (consumer, id, type, payload, created_at, error)
           SELECT 'gone', id, type, payload, created_at, E'bad\n' FROM events ORDER BY id"""
    )
    environment = {"DITS_DATABASE_URL": api.dsn}

    def run_command(*arguments: str) -> str:
        done = run("admin", "dead-events", *arguments, cwd=tmp_path, **environment)
        return done.stdout + done.stderr

    told = run_command("list")
    assert [line.split("  ")[:3] for line in told.splitlines()] == [
        ["gone", str(number), "push"] for number in ids
    ]
    assert r"'bad\n'" in told
    assert run_command("list", "--consumer", "webhooks") == ""
    assert run_command("requeue", "gone", str(ids[0])) == "1 event\n"
    assert [
        json.loads(line)["is_requeued"] for line in run_command("list", "--json").splitlines()
    ] == [
        True,
        False,
    ]
    assert run_command("drop", "gone", "7") == "dits-server: dead event '7 of gone' not found\n"
    assert run_command("drop", "gone") == "dits-server: name events, or say --all\n"
    assert run_command("drop", "gone", "--all") == "2 events\n"
    assert run_command("list") == ""


async def test_the_operator_makes_tokens_of_the_site(tmp_path: Path, api: Api) -> None:
    ada = await api.account()
    environment = {"DITS_DATABASE_URL": api.dsn}
    made = run("admin", "create-token", ada.username.upper(), cwd=tmp_path, **environment)
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert credentials.well_formed(secret)
    operator = Account(ada.id, ada.username, secret)
    [event] = await list_events(api, operator, site=True)
    assert (event.action, event.actor_type) == ("token.created", pb.AUDIT_ACTOR_TYPE_SYSTEM)
    assert event.details["owner"] == str(ada.id)
    assert UUID(event.resource_id)
    assert secret not in str(event)


@pytest.mark.parametrize(
    ("username", "days", "sentence"),
    [
        ("nobody-at-all", 30, "user 'nobody-at-all' not found"),
        ("a b", 30, "username: must have 3 to 39"),
        ("ada", 367, "days: must be 1 to 366"),
    ],
)
async def test_a_token_that_cannot_be_made_is_one_sentence(
    dsn: str, username: str, days: int, sentence: str
) -> None:
    database = await Database.connect(dsn, service="test", size=1)
    with pytest.raises(DomainError, match=sentence):
        await create_operator_token(database, username, "operator", days)
    await database.close()
