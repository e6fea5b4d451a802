"""Damaged chunks are healed from a copy in another region."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from services.chunk.catalog.presence import Presence
from services.chunk.collection.scrub import Scrub, Scrubbed
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.local_store import LocalStore
from shared.db.pool import Databases
from shared.errors import DomainError
from shared.runtime.config import Settings
from tests.integration.chunk.test_storage_maintenance import damage
from tests.support.api import Api
from tests.support.chunks import Shelf, digest, files, some
from tests.support.collection import DAY
from tests.support.stores import open_store


@dataclass(frozen=True, slots=True)
class Copied:
    """A chunk that is damaged at home, and has a good copy in another region."""

    shelf: Shelf
    good: bytes
    bad: bytes
    home: BlobStore
    stores: dict[str, BlobStore]
    pack_key: str


async def store_damaged(api: Api, settings: Settings, tmp_path: Path) -> Copied:
    """Makes one, in a pack with a good one."""
    shelf = await Shelf.open(api)
    bad, good = some(), some()
    await shelf.put(bad, good)
    (path,) = files(settings).values()
    far = LocalStore(tmp_path / "far", bucket="far", region="far")
    await far.create(str(uuid.uuid4()))
    writer = far.open_writer("0/" + "ee" * 16)
    await writer.write_parts([bad])
    await writer.seal()
    await api.fetch(
        """WITH pack AS (INSERT INTO packs (key, bucket, region, state, live, bytes)
                         VALUES ('0/' || repeat('ee', 16), 'far', 'far', 'sealed', 1, 1000) RETURNING key)
           INSERT INTO chunk_locations (chunk_hash, region, bucket, storage_key)
           SELECT $1, 'far', 'far', key || '@0+1000' FROM pack""",
        digest(bad).hex(),
    )
    damage(path, 10)
    home = open_store(settings)
    stores = {home.bucket: home, "far": far}
    pack_key = await api.value("SELECT pack_key FROM chunks LIMIT 1")
    return Copied(shelf, good, bad, home, stores, pack_key)


async def test_a_damaged_chunk_is_healed_from_another_region(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    made = await store_damaged(api, settings, tmp_path)
    packs = PackWriter(databases, made.home, Presence(databases, DAY), cell=0, reader_grace=DAY)
    (database,) = databases.every()
    found = await Scrub(made.stores, packs).verify_pack(database, made.pack_key)
    assert (found.healed, found.lost) == (1, 0)
    await made.shelf.get(made.bad, made.good)
    assert await api.value("SELECT count(*) FROM packs WHERE region = $1", settings.region) == 2


async def test_healing_that_fails_leaves_no_open_pack(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    made = await store_damaged(api, settings, tmp_path)
    # What is there can be read, and nothing can be written.
    unsealed = settings.data_dir / "chunks" / settings.region / "unsealed"
    unsealed.rename(unsealed.with_name("away"))
    packs = PackWriter(databases, made.home, Presence(databases, DAY), cell=0, reader_grace=DAY)
    (database,) = databases.every()
    with pytest.raises(DomainError):
        await Scrub(made.stores, packs).verify_pack(database, made.pack_key)
    assert await api.value("SELECT count(*) FROM packs WHERE state = 'open'") == 0
    await made.shelf.get(made.good)


async def test_a_worker_that_does_not_name_the_store_fails_with_the_reason(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    made = await store_damaged(api, settings, tmp_path)
    packs = PackWriter(databases, made.home, Presence(databases, DAY), cell=0, reader_grace=DAY)
    (database,) = databases.every()
    scrub = Scrub({"far": made.stores["far"]}, packs)
    with pytest.raises(DomainError, match="do not name local"):
        await scrub.verify_pack(database, made.pack_key)
    # The packs of other stores are verified; the run fails all the same, so that one that has it comes.
    found = list[Scrubbed]()

    async def verify() -> None:
        async for each in scrub.verify_due_packs(database, timedelta(0)):
            found.append(each)

    with pytest.raises(DomainError, match="do not name local"):
        await verify()
    assert [each.chunks for each in found] == [1]
