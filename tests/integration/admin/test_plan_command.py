"""`dits-server admin set-plan`: what an owner may hold, and how many members an organisation may have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dits.common.v1.error_reason_pb2 import ErrorReason
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest
from grpc import StatusCode

from services.admin.plans import parse_size
from services.auth.organizations.plans import change_plan
from shared.db.pool import Database
from shared.errors import DomainError
from shared.runtime.config import ConfigError
from tests.integration.test_server_command import run
from tests.support.api import Api, refused
from tests.support.organizations import Studio
from tests.support.trees import build, upload


async def test_a_plan_is_set_shown_and_held(api: Api, tmp_path: Path) -> None:
    studio = await Studio.open(api)
    owner, name = studio.people["owner"], studio.organization.name

    def admin(*arguments: str) -> str:
        done = run("admin", "set-plan", name, *arguments, cwd=tmp_path, DITS_DATABASE_URL=api.dsn)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert admin("--storage", "1kB", "--seats", "5") == f"{name}: storage 1,000 bytes, seats 5"
    assert admin() == f"{name}: storage 1,000 bytes, seats 5"
    request = CreateRepositoryRequest(owner=name, name="films")
    films = (await api.repositories.CreateRepository(request, metadata=owner.auth)).repository
    with refused(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"):
        await upload(api, owner, films, build({"a": os.urandom(1001)}).chunks)
    rows = await api.fetch(
        "SELECT details FROM audit_log WHERE action = 'organization.updated' AND actor_type = 'system'"
    )
    assert len(rows) == 1
    assert '"plan_storage_bytes": 1000' in rows[0]["details"]


async def test_a_user_has_a_plan(api: Api, tmp_path: Path) -> None:
    bob = await api.account()

    def admin(*arguments: str) -> str:
        command = ("admin", "set-plan", bob.username.upper(), *arguments)
        done = run(*command, cwd=tmp_path, DITS_DATABASE_URL=api.dsn)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert admin() == f"{bob.username.upper()}: storage any"
    shown = f"{bob.username.upper()}: storage 1,000 bytes"
    assert admin("--storage", "1kB") == shown
    assert admin() == shown
    films, other = [await api.repository(bob) for _ in range(2)]
    await upload(api, bob, films, build({"a": os.urandom(600)}).chunks)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED") as refusal:
        await upload(api, bob, other, build({"a": os.urandom(401)}).chunks)
    assert refusal.metadata == {"scope": "user", "limit": "1000", "held": "600"}
    # Nobody else's.
    cyn = await api.account()
    await upload(api, cyn, await api.repository(cyn), build({"a": os.urandom(1001)}).chunks)
    rows = await api.fetch(
        "SELECT details FROM audit_log WHERE action = 'user.updated' AND actor_type = 'system'"
    )
    assert len(rows) == 1
    assert '"plan_storage_bytes": 1000' in rows[0]["details"]


async def test_what_is_no_plan(api: Api) -> None:
    studio = await Studio.open(api)
    database = await Database.connect(api.dsn, service="admin", size=1)

    async def change(name: str, **changes: int | None) -> dict[str, int | None]:
        return await database.transaction(lambda connection: change_plan(connection, name, changes))

    try:
        for name, changes, reason in (
            ("nobody", {"plan_seats": 1}, "NOT_FOUND"),
            (studio.organization.name, {"plan_seats": -1}, "INVALID_FIELD"),
            (studio.organization.name, {"plan_storage_bytes": 1 << 63}, "INVALID_FIELD"),
            (studio.people["owner"].username, {"plan_seats": 1}, "INVALID_FIELD"),
        ):
            with pytest.raises(DomainError) as caught:
                await change(name, **changes)
            assert caught.value.reason == ErrorReason.Value(f"ERROR_REASON_{reason}")
        shouted = studio.organization.name.upper()
        assert (await change(shouted, plan_seats=7))["plan_seats"] == 7
        assert (await change(shouted, plan_seats=None)) == {
            "plan_storage_bytes": None,
            "plan_seats": None,
        }
    finally:
        await database.close()


def test_sizes() -> None:
    sizes = {"0": 0, "7": 7, "2kB": 2000, "500GB": 500 * 10**9, "2TB": 2 * 10**12, "any": None}
    assert {text: parse_size(text) for text in sizes} == sizes
    for text in ("", "-1", "1.5GB", "1 GB", "1gb", "many"):
        with pytest.raises(ConfigError):
            parse_size(text)
