"""Fixtures of the tests of jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.db.pool import Database


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """A pool of the test's own."""
    database = await Database.connect(dsn, service="test", size=6)
    yield database
    await database.close()
