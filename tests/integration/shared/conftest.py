"""Fixtures of the tests of jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.db.pool import Database
from shared.jobs import worker as worker_module


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """A pool of the test's own."""
    database = await Database.connect(dsn, service="test", size=6)
    yield database
    await database.close()


@pytest.fixture
def quick_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets workers look for jobs, and for leases that have expired, twenty times a second."""
    monkeypatch.setattr(worker_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(worker_module, "EXPIRY_SECONDS", 0.05)
