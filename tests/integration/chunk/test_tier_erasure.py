"""What is obliterated goes from the archive, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from dits.common.v1.job_pb2 import CollectGarbagePayload, CompactPacksPayload

from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.stores.tiers import open_places
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, some
from tests.support.collection import do_maintenance
from tests.support.obliterations import obliterate
from tests.support.repositories import Holding
from tests.support.tiers import TierDesk, with_tiers
from tests.support.trees import save


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_tiers(settings, tmp_path / "tiers")


def count_objects(root: Path, data: bytes) -> int:
    """How many objects in a directory hold some bytes."""
    return sum(data in path.read_bytes() for path in root.glob("0/??/*"))


async def test_what_is_obliterated_goes_from_an_archive(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    films = await Holding.open(api)
    secret, kept = some(900), some(1000)
    await save(api, films.owner, films.repository, {"secret": secret, "kept": kept})
    desk = TierDesk(Shelf(api, films.owner, films.repository), databases)
    await desk.set_class("glacier", secret, kept)
    await desk.apply_policies()
    await obliterate(films, "secret", secret)
    await do_maintenance(api, databases, CollectGarbagePayload())
    await do_maintenance(api, databases, CompactPacksPayload())
    await do_maintenance(api, databases, CompactPacksPayload())
    await desk.apply_policies()
    (database,) = databases.every()
    places = await open_places(database, settings)
    await ObjectReaper(databases, places, 0).reap_objects()
    assert count_objects(tmp_path / "tiers" / "glacier", secret) == 0
    assert count_objects(tmp_path / "tiers" / "glacier", kept) == 1
    await desk.restore(kept)
    await desk.shelf.get(kept)


async def test_what_is_restored_stays_readable_when_its_neighbour_is_erased(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    films = await Holding.open(api)
    secret, kept = some(900), some(1000)
    await save(api, films.owner, films.repository, {"secret": secret, "kept": kept})
    desk = TierDesk(Shelf(api, films.owner, films.repository), databases)
    await desk.set_class("glacier", secret, kept)
    await desk.apply_policies()
    await desk.restore(kept)
    await obliterate(films, "secret", secret)
    await do_maintenance(api, databases, CollectGarbagePayload())
    for _ in range(2):
        await do_maintenance(api, databases, CompactPacksPayload())
    (database,) = databases.every()
    await ObjectReaper(databases, await open_places(database, settings), 0).reap_objects()
    assert count_objects(tmp_path / "tiers" / "glacier", secret) == 0
    await desk.shelf.get(kept)
    # When the time is over, it is in the archive again.
    await api.fetch("UPDATE chunk_refs SET restored_until = now() WHERE restored_until IS NOT NULL")
    await desk.apply_policies()
    assert await desk.places(kept) == ["local.glacier"]
    assert await desk.archived(kept) == [True]
