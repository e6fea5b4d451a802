"""Two sessions on the migrated database of each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.schema.rows import Connection, connected


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Connection]:
    """The session that most tests need."""
    async with connected(dsn) as conn:
        yield conn


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Connection]:
    """A second session, to run beside the first."""
    async with connected(dsn) as conn:
        yield conn
