"""What is damaged in an archive, where no scrub reads, is found when it is wanted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.admin.fsck import check_everything
from services.chunk.catalog.presence import Presence
from services.chunk.collection.inventory import Inventory
from services.chunk.collection.scrub import Scrub
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.tiers import adopt_place, open_places
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.integration.chunk.test_storage_maintenance import damage
from tests.support.api import Api
from tests.support.chunks import Shelf, digest, reason, some
from tests.support.collection import DAY, exhaust, reference
from tests.support.counters import assert_counters
from tests.support.regions import wait_while
from tests.support.tiers import TierDesk, with_tiers


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_tiers(settings, tmp_path / "tiers")


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


async def test_fsck_finds_what_lies_too_cold(
    api: Api, settings: Settings, databases: Databases
) -> None:
    data, other = some(), some()
    shelf = await Shelf.open(api)
    await shelf.put(data, other)
    assert await reference(shelf, data, other) == []
    desk = TierDesk(shelf, databases)
    await desk.set_class("glacier", data, other)
    await desk.apply_policies()
    (database,) = databases.every()

    async def count_faults() -> int:
        report = await check_everything(database, settings, repair=False)
        return sum("its class is" in fault for fault in report.faults)

    assert await count_faults() == 0
    name = digest(data).hex()
    await api.fetch("UPDATE chunk_refs SET storage_class = NULL WHERE chunk_hash = $1", name)
    assert await count_faults() == 1
    await api.fetch("UPDATE chunks SET storage_class = 'standard' WHERE hash <> $1", name)
    assert await count_faults() == 2


async def test_an_archive_that_is_gone_for_good(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    data = some()
    shelf = await Shelf.open(api)
    await shelf.put(data)
    assert await reference(shelf, data) == []
    desk = TierDesk(shelf, databases)
    await desk.set_class("glacier", data)
    await desk.apply_policies()
    root = tmp_path / "tiers" / "glacier"
    shutil.rmtree(root)
    root.mkdir()
    (database,) = databases.every()
    store = await adopt_place(database, settings, "local.glacier")
    assert store.bucket == "local.glacier"
    # A server that begins now takes it for the place that it is.
    places = await open_places(database, settings)
    assert places["local.glacier"].expected_id == store.expected_id
    packs = PackWriter(
        databases, places["local"], Presence(databases, DAY), cell=0, reader_grace=DAY
    )
    inventory = Inventory(places["local.glacier"], 0, DAY)
    [[missing]] = await exhaust(inventory.find_incomplete_packs(database))
    assert (await Scrub(places, packs).verify_pack(database, missing)).lost == 1
    assert await shelf.missing(data) == [True]
    await shelf.put(data)
    await shelf.get(data)
    await assert_counters(api.dsn)
