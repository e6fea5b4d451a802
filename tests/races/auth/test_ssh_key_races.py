"""An SSH key is deleted while it opens a session."""

from __future__ import annotations

import asyncio

import asyncpg
from dits.auth.v1.key_service_pb2 import DeleteSshKeyRequest
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.ssh import needs_ssh
from tests.support.ssh_accounts import add_key, login_request
from tests.support.waiting import until_blocked

pytestmark = needs_ssh
SESSIONS = "SELECT count(*) FROM sessions WHERE user_id = $1"


async def test_the_deletion_comes_first(api: Api) -> None:
    ada = await api.account("ada")
    added = await add_key(api, ada)
    request = await login_request(api, "ada")
    connection, watcher = await asyncpg.connect(api.dsn), await asyncpg.connect(api.dsn)
    async with connection.transaction():
        await connection.execute("DELETE FROM ssh_keys WHERE id = $1::uuid", added.id)
        login = asyncio.ensure_future(api.sessions.LoginWithSsh(request))
        await until_blocked(watcher)
    await connection.close()
    await watcher.close()
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await login
    assert await api.value(SESSIONS, ada.id) == 1


async def test_the_login_comes_first(api: Api) -> None:
    ada = await api.account("ada")
    added = await add_key(api, ada)
    request = await login_request(api, "ada")
    connection, watcher = await asyncpg.connect(api.dsn), await asyncpg.connect(api.dsn)
    async with connection.transaction():
        # The login waits for the account, and holds the key.
        await connection.execute("SELECT FROM users WHERE id = $1 FOR UPDATE", ada.id)
        login = asyncio.ensure_future(api.sessions.LoginWithSsh(request))
        await until_blocked(watcher)
        delete = DeleteSshKeyRequest(key_id=added.id)
        deletion = asyncio.ensure_future(api.keys.DeleteSshKey(delete, metadata=ada.auth))
        await until_blocked(watcher, 2)
    await connection.close()
    await watcher.close()
    assert (await login).session.username == "ada"
    await deletion
    assert await api.value(SESSIONS, ada.id) == 2
