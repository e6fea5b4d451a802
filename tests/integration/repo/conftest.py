"""What the tests of the repo service share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from services.repo.events import scopes
from shared.db.pool import Database
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from tests.support.api import Api
from tests.support.webhooks import Hooks, Lanes


@pytest.fixture(autouse=True)
def short_pauses() -> Iterator[None]:
    """Lets streams of many repositories look more often than in production; all suites may know it."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(scopes, "PAUSE_SECONDS", 0.05)
        yield


@pytest.fixture
async def lanes(api: Api, dsn: str, settings: Settings) -> AsyncIterator[Lanes]:
    """Lanes of the test's own; the suite needs settings that let it work on no queue."""
    database = await Database.connect(dsn, service="test", size=8)
    try:
        key = ServerKey.load(settings.server_key, settings.data_dir)
        yield Lanes(await Hooks.of_repository(api), database, key)
    finally:
        await database.close()
