"""When and where a credential was last used is stored, some seconds later."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from dits.auth.v1.access_service_pb2 import CheckAccessRequest
from dits.lock.v1.lock_service_pb2 import WatchRequest
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest

from services.auth.access.decisions import LocalAccess
from services.auth.background.credential_uses import CredentialUseStore
from shared.db.pool import Database
from shared.rpc import admission
from tests.support.api import Api
from tests.support.mfa import give_password
from tests.support.waiting import PATIENCE_SECONDS


async def test_uses_of_credentials_are_stored(api: Api) -> None:
    ada = await api.account()
    machine = await api.api_token(ada, "user:read")
    await api.fetch("UPDATE sessions SET last_active_at = now() - interval '5 min'")
    database = await Database.connect(api.dsn, service="test", size=1)
    access = LocalAccess(database)
    for token in (ada.token, machine.token):
        await access.resolve(token, "", 0, "192.0.2.7")
        # A later use from an address that nobody knows.
        await access.resolve(token, "", 0)
    await CredentialUseStore(database, access.uses).store()
    assert not access.uses.drain()
    await database.close()
    for query in (
        "SELECT last_active_at > now() - interval '1 min' AND last_ip = '192.0.2.7' FROM sessions",
        "SELECT last_active_at > now() - interval '1 min' FROM users",
        "SELECT last_used_at > now() - interval '1 min' AND last_used_ip = '192.0.2.7' FROM api_tokens",
    ):
        assert await api.value(query) is True


async def test_wrong_passwords_are_counted_some_seconds_later(api: Api) -> None:
    ada = await api.account()
    await give_password(api, ada)
    database = await Database.connect(api.dsn, service="test", size=1)
    uses = LocalAccess(database).uses
    for user_id in (ada.id, ada.id, uuid4()):
        uses.add_failure(user_id)
    await CredentialUseStore(database, uses).store()
    uses.add_failure(ada.id)
    await CredentialUseStore(database, uses).store()
    assert not uses.drain()
    await database.close()
    [row] = await api.fetch("SELECT * FROM user_credentials")
    assert row["failed_login_attempts"] == 3
    assert row["last_failed_login_at"] is not None


async def test_what_cannot_be_stored_is_kept(api: Api) -> None:
    ada = await api.account()
    machine = await api.api_token(ada, "user:read")
    database = await Database.connect(api.dsn, service="test", size=1)
    access = LocalAccess(database)
    await access.resolve(machine.token, "", 0, "192.0.2.7")
    store = CredentialUseStore(database, access.uses)
    await api.fetch("ALTER TABLE api_tokens RENAME TO away")
    with pytest.raises(asyncpg.UndefinedTableError):
        await store.store()
    await api.fetch("ALTER TABLE away RENAME TO api_tokens")
    await store.store()
    await database.close()
    assert await api.value("SELECT host(last_used_ip) FROM api_tokens") == "192.0.2.7"


async def test_the_address_of_a_call_at_another_service_is_its_own(api: Api) -> None:
    """Not that of the service which asks auth about the caller."""
    ada = await api.account()
    machine = await api.api_token(ada, "repo:read")
    repository = await api.repository(ada)
    uses = api.suite._servers["auth"]._background.tasks
    [store] = [task for task in uses if task.name == "store uses of credentials"]
    await api.access.CheckAccess(
        CheckAccessRequest(caller_address="not an address"), metadata=machine.auth
    )
    await store.work()
    assert await api.value("SELECT last_used_ip FROM api_tokens") is None
    await api.fetch("UPDATE api_tokens SET last_used_at = NULL")
    await api.repositories.GetRepository(
        GetRepositoryRequest(repository=repository.id), metadata=machine.auth
    )
    await store.work()
    assert await api.value("SELECT host(last_used_ip) FROM api_tokens") == "127.0.0.1"


async def test_uses_within_a_minute_are_not_stored(api: Api) -> None:
    """Nor is anything else: the warm path writes nothing."""
    ada = await api.account()
    machine = await api.api_token(ada, "user:read")
    await api.fetch("UPDATE api_tokens SET last_used_at = now()")
    database = await Database.connect(api.dsn, service="test", size=1)
    access = LocalAccess(database)
    for token in (ada.token, machine.token):
        await access.resolve(token, "", 0, "192.0.2.7")
    assert not access.uses.drain()
    await database.close()


async def test_an_open_stream_uses_its_session(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a long push or watch does not end for being idle."""
    monkeypatch.setattr(admission, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(admission, "CHECK_SECONDS", 0.05)
    ada = await api.account()
    repository = await api.repository(ada)
    watch: Any = api.locks.Watch(WatchRequest(repository=repository.id), metadata=ada.auth)
    await watch.read()
    await api.fetch("UPDATE sessions SET last_active_at = now() - interval '29 min'")
    tasks = api.suite._servers["auth"]._background.tasks
    [store] = [task for task in tasks if task.name == "store uses of credentials"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await api.value("SELECT last_active_at > now() - interval '1 min' FROM sessions"):
            await store.work()
    assert not watch.done()
    watch.cancel()
