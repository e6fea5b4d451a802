"""The search for secrets in what tests write finds them."""

from __future__ import annotations

import asyncpg
import pytest
import structlog

from shared.formats import credentials
from tests.support.secrets import LogWatch, check_rows, find_secret


@pytest.mark.parametrize("kind", credentials.Kind)
def test_bearer_tokens_are_found(kind: credentials.Kind) -> None:
    token = credentials.mint(kind)
    assert find_secret({"a": [f"Bearer {token}."]}) == token
    assert find_secret(credentials.token_hash(token)) is None


def test_passwords_in_addresses_are_found() -> None:
    assert find_secret("cannot reach postgresql://dits:hunter2@db/dits") is not None
    assert find_secret("cannot reach postgresql://dits@db/dits") is None


def test_log_entries_are_remembered() -> None:
    watch = LogWatch()
    entry = {"event": "x", "token": credentials.mint(credentials.Kind.SESSION)}
    assert watch(None, "info", entry) is entry
    assert watch.leaks == [str(entry)]
    assert structlog.get_config()["processors"][-3].leaks == []


async def test_rows_are_read(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await check_rows(connection)
    await connection.execute(
        "SELECT audit(NULL, 'user', 'a', 'r', '1', $1, NULL, NULL, NULL, NULL, NULL, NULL)",
        credentials.mint(credentials.Kind.API_TOKEN),
    )
    with pytest.raises(AssertionError, match="a secret in audit_log"):
        await check_rows(connection)
    await connection.close()
