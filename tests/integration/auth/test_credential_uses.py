"""When a credential was last used is stored, some seconds later."""

from __future__ import annotations

from services.auth.access.decisions import LocalAccess
from services.auth.background.credential_uses import CredentialUseStore
from shared.db.pool import Database
from tests.support.api import Api


async def test_uses_of_credentials_are_stored(api: Api) -> None:
    ada = await api.account()
    machine = await api.api_token(ada, "user:read")
    await api.fetch("UPDATE sessions SET last_active_at = now() - interval '5 min'")
    database = await Database.connect(api.dsn, service="test", size=1)
    access = LocalAccess(database)
    for token in (ada.token, machine.token):
        await access.resolve(token, "", 0)
    await CredentialUseStore(database, access.uses).store()
    assert access.uses.drain() == ([], [])
    await database.close()
    for query in (
        "SELECT last_active_at > now() - interval '1 min' FROM sessions",
        "SELECT last_active_at > now() - interval '1 min' FROM users",
        "SELECT last_used_at > now() - interval '1 min' FROM api_tokens",
    ):
        assert await api.value(query) is True
