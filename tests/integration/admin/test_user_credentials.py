"""`dits-server admin list-sessions` and `revoke`."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from dits.auth.v1.account_service_pb2 import GetMeRequest
from grpc import StatusCode

from tests.integration.test_server_command import run
from tests.support.api import Api, refused


async def test_sessions_and_tokens_are_listed_and_ended(tmp_path: Path, api: Api) -> None:
    ada = await api.account("ada")
    other, machine = await api.session(ada), await api.api_token(ada, "user:read")
    bob = await api.account("bob")
    his = str(await api.value("SELECT id FROM sessions WHERE user_id = $1", bob.id))

    def run_command(*arguments: str) -> str:
        done = run("admin", *arguments, cwd=tmp_path, DITS_DATABASE_URL=api.dsn)
        return done.stdout + done.stderr

    found = [
        json.loads(line) for line in run_command("list-sessions", "Ada", "--json").splitlines()
    ]
    assert [each["kind"] for each in found] == ["session", "session", "api_token"]
    lines = run_command("list-sessions", "ada").splitlines()
    assert [line.count(" UTC") for line in lines] == [2, 2, 0]
    # One foreign id, and nothing happens.
    assert "not found" in run_command("revoke", "ada", found[0]["id"], his)
    assert "not found" in run_command("revoke", "ada", str(uuid.uuid4()))
    assert "say --all" in run_command("revoke", "ada")
    assert run_command("revoke", "ada", found[2]["id"]) == "1 ended\n"
    assert run_command("revoke", "ada", found[2]["id"]) == "0 ended\n"
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.accounts.GetMe(GetMeRequest(), metadata=machine.auth)
    await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
    assert run_command("revoke", "ada", "--all") == "2 ended\n"
    for who in (ada, other):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await api.accounts.GetMe(GetMeRequest(), metadata=who.auth)
    await api.accounts.GetMe(GetMeRequest(), metadata=bob.auth)
    assert "not found" in run_command("list-sessions", "nobody")
    rows = await api.fetch("SELECT action, actor_type, details ->> 'owner' AS owner FROM audit_log")
    assert sorted(row["action"] for row in rows) == ["session.ended"] * 2 + ["token.revoked"]
    assert {(row["actor_type"], row["owner"]) for row in rows} == {("system", str(ada.id))}
