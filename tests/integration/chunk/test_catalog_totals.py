"""How much is stored in all: counted while it is little, else told as the collection has counted it."""

from __future__ import annotations

from pathlib import Path

import pytest
from dits.chunk.v1 import maintenance_service_pb2 as pb
from dits.chunk.v1 import tier_service_pb2 as tier_pb
from dits.common.v1.job_pb2 import CollectGarbagePayload

from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, some
from tests.support.collection import do_maintenance, reference
from tests.support.tiers import TierDesk, with_tiers


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_tiers(settings, tmp_path / "tiers")


async def test_a_large_catalog_is_told_as_the_collection_has_counted_it(
    api: Api, databases: Databases
) -> None:
    token = await api.api_token(await api.account(), "site:admin")

    async def ask() -> pb.GetStorageResponse:
        return await api.maintenance.GetStorage(pb.GetStorageRequest(), metadata=token.auth)

    shelf, cold = await Shelf.open(api), some(1000)
    await shelf.put(cold, some(500))
    assert await reference(shelf, cold) == []
    assert (await ask()).chunk_count == 2
    record = await do_maintenance(api, databases, CollectGarbagePayload())
    assert '"stored_bytes": "1500"' in record["report"]
    # As long as there are few, they are counted anew.
    await shelf.put(some(700))
    assert (await ask()).stored_bytes == 2200
    await api.fetch(
        """UPDATE maintenance_runs SET report = jsonb_set(report, '{catalog,chunk_count}', '"1000001"')
           WHERE kind = 'collect_garbage'"""
    )
    found = await ask()
    assert (found.chunk_count, found.stored_bytes) == (1_000_001, 1500)
    planning = pb.PlanGarbageCollectionRequest()
    plan = await api.maintenance.PlanGarbageCollection(planning, metadata=token.auth)
    assert plan.total_chunk_count == 1_000_001
    # What lies where is counted by packs.
    desk = TierDesk(shelf, databases)
    await desk.set_class("glacier", cold)
    await desk.apply_policies()
    places = {place.storage_class: place.pack_bytes for place in (await ask()).places}
    assert places[tier_pb.STORAGE_CLASS_GLACIER] == 1000
    assert [place.region for place in found.places] == ["local"]
