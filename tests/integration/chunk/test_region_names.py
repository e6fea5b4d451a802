"""A region that gets another name over the same packs: what lies there has the old one."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from services.admin.fsck import check_everything
from services.admin.stores import adopt_store, evacuate_region
from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.stores.opening import open_known_store, open_known_stores
from shared.db.pool import Database, Databases
from shared.runtime.config import ConfigError, Settings
from tests.support.api import Api, running_suite
from tests.support.chunks import Shelf, some
from tests.support.store_owners import leave_store

RENAMED = "is that of the region local.*`dits-server store evacuate local --to berlin`"

EITHER = re.compile("the same store|is that of the region")


def rename(place: Settings) -> Settings:
    """The same place under another name."""
    where = place.store or str(place.data_dir / "chunks" / place.region)
    return place.model_copy(update={"region": "berlin", "store": where})


async def add_pack(database: Database, region: str) -> None:
    query = "INSERT INTO packs (key, bucket, region) VALUES ('0/ab', $1, $1)"
    await database.statement(query, region)


async def list_names(database: Database) -> list[str]:
    return [row[0] for row in await database.fetch("SELECT bucket FROM stores ORDER BY 1")]


@pytest.mark.parametrize("is_used", [False, True])
async def test_a_region_keeps_its_name(database: Database, place: Settings, is_used: bool) -> None:
    store = await open_known_store(database, place)
    if is_used:
        await add_pack(database, "local")
    berlin = rename(place)
    with pytest.raises(ConfigError, match=RENAMED):
        await open_known_store(database, berlin)
    where = berlin.store
    assert where is not None
    for both in (
        berlin.model_copy(update={"stores": {"local": (where,)}}),
        place.model_copy(update={"stores": {"berlin": (where,)}}),
    ):
        with pytest.raises(ConfigError, match=EITHER):
            await open_known_stores(database, both)
        with pytest.raises(ConfigError, match=EITHER):
            await check_everything(database, both, repair=False)
    assert await list_names(database) == ["local"]
    assert (await open_known_store(database, place)).expected_id == store.expected_id
    # Where nothing lies yet, a wrong name is put right, once nobody writes under it any more.
    with pytest.raises(ConfigError, match=r"under the old name .* run, or ran a moment ago"):
        await adopt_store(database, berlin, None)
    await leave_store(store)
    if is_used:
        with pytest.raises(ConfigError, match="packs of the region local lie there"):
            await adopt_store(database, berlin, None)
        assert await list_names(database) == ["local"]
        return
    await adopt_store(database, berlin, None)
    assert await list_names(database) == ["berlin"]
    await open_known_store(database, berlin)
    with pytest.raises(ConfigError, match="is that of the region berlin"):
        await open_known_store(database, place)


async def test_two_names_at_once(database: Database, place: Settings) -> None:
    ends = await asyncio.gather(
        open_known_store(database, place),
        open_known_store(database, rename(place)),
        return_exceptions=True,
    )
    [refusal] = [end for end in ends if isinstance(end, BaseException)]
    assert "is that of the region" in str(refusal)
    assert len(await list_names(database)) == 1


async def test_a_region_is_renamed_as_the_refusal_says(
    api: Api, settings: Settings, database: Database, tmp_path: Path
) -> None:
    shelf, data = await Shelf.open(api), some()
    await shelf.put(data)
    berlin = settings.model_copy(
        update={
            "region": "berlin",
            "store": str(tmp_path / "berlin"),
            "stores": {"local": (str(settings.data_dir / "chunks" / "local"),)},
            "reader_grace_seconds": 0,
        }
    )
    # Once for the chunks, and again when the objects that were left are gone.
    [moved, *_] = await evacuate_region(database, berlin, "local", "berlin")
    assert moved.startswith("moved 1 chunks")
    stores = await open_known_stores(database, berlin)
    await ObjectReaper(Databases(database), stores, 0).reap_objects()
    [_, told] = await evacuate_region(database, berlin, "local", "berlin")
    assert told == "local is empty, and no region any more: leave it out of stores"
    async with running_suite(api.dsn, berlin.model_copy(update={"stores": {}})) as renamed:
        await Shelf(renamed, shelf.who, shelf.repo).get(data)
