"""What is damaged in an archive, where no scrub reads, is found when it is wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.integration.chunk.test_storage_maintenance import damage
from tests.support.api import Api
from tests.support.chunks import Shelf, open_databases, reason, some
from tests.support.collection import reference
from tests.support.counters import assert_counters
from tests.support.regions import wait_while
from tests.support.tiers import TierDesk, with_tiers


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_tiers(settings, tmp_path / "tiers")


@pytest.fixture
async def databases(dsn: str) -> AsyncIterator[Databases]:
    async with open_databases(dsn) as databases:
        yield databases


@pytest.mark.parametrize("is_permanent", [True, False])
async def test_what_is_damaged_in_an_archive_is_lost_and_can_be_sent_again(
    api: Api, databases: Databases, tmp_path: Path, is_permanent: bool
) -> None:
    bad, good = some(), some()
    shelf = await Shelf.open(api)
    await shelf.put(bad, good)
    assert await reference(shelf, bad, good) == []
    desk = TierDesk(shelf, databases)
    await desk.set_class("glacier", bad, good)
    await desk.apply_policies()
    (path,) = (tmp_path / "tiers" / "glacier").glob("0/??/*")
    damage(path, path.read_bytes().index(bad))
    if is_permanent:
        await desk.set_class("standard", bad, good)
        assert await desk.places(bad, good) == ["local.glacier", "local"]
    else:
        await desk.restore(bad, good)
        (found,) = await shelf.download(bad)
        assert reason(found) == "CHUNK_CORRUPT"
        await wait_while(
            api,
            """SELECT count(*) FROM jobs
               WHERE job_type = 'repair_pack' AND status IN ('pending', 'running')""",
        )
    assert await shelf.missing(bad, good) == [True, False]
    await shelf.get(good)
    await shelf.put(bad)
    assert await desk.places(bad) == ["local"]
    await shelf.get(bad, good)
    await assert_counters(api.dsn)
