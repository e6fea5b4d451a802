"""A process that was left out when its store was given up stores nothing there any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import grpc
import pytest
from structlog.testing import capture_logs

from services.admin.stores import adopt_store
from services.chunk.catalog.presence import Presence
from services.chunk.collection.scrub import Scrub
from services.chunk.packs.content import Chunk
from services.chunk.packs.pack import Pack
from services.chunk.packs.pack_sealing import hold_open_pack
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.opening import forget_store, open_known_store
from services.chunk.stores.paired_store import PairedStore
from shared.db.pool import Connection, Database, Databases
from shared.errors import DomainError
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, blocked, digest, files, some, transaction
from tests.support.collection import DAY
from tests.support.store_owners import leave_store

TOLD = "the store of local is another one by now"


async def replace(database: Database, settings: Settings) -> None:
    """Another place becomes the store of the region."""
    other = settings.data_dir / "other"
    other.mkdir()
    await adopt_store(database, settings.model_copy(update={"store": str(other)}), None)


async def rename(database: Database, settings: Settings) -> None:
    """The store, in which nothing lies yet, goes by another name."""
    await leave_store(await open_known_store(database, settings))
    where = str(settings.data_dir / "chunks" / "local")
    berlin = settings.model_copy(update={"region": "berlin", "store": where})
    await adopt_store(database, berlin, None)


async def move(database: Database, settings: Settings) -> None:
    """The region has moved to another place."""
    old, new = (str(settings.data_dir / "chunks" / name) for name in ("local", "new"))
    change = {"store": new, "second_store": old}
    pair = await open_known_store(database, settings.model_copy(update=change))
    assert isinstance(pair, PairedStore)
    await forget_store(database, "local", pair.second.expected_id)


@pytest.mark.parametrize("change", [replace, rename, move])
async def test_what_comes_later_is_refused(
    api: Api,
    settings: Settings,
    database: Database,
    change: Callable[[Database, Settings], Awaitable[None]],
) -> None:
    shelf = await Shelf.open(api)
    await change(database, settings)
    with (
        capture_logs() as logs,
        refused(grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"),
    ):
        await shelf.put(some())
    assert [each["bucket"] for each in logs if "restart it" in each["event"]] == ["local"]
    assert await api.value("SELECT count(*) FROM chunks") == 0
    assert await api.value("SELECT count(*) FROM packs") == 0


async def test_nothing_that_lies_elsewhere_is_called_damaged(
    api: Api, settings: Settings, database: Database
) -> None:
    shelf, data = await Shelf.open(api), some()
    await shelf.put(data)
    (path,) = files(settings).values()
    await move(database, settings)
    path.unlink()
    with refused(grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
        await shelf.get(data)
    assert await api.value("SELECT count(*) FROM jobs WHERE job_type = 'repair_pack'") == 0


async def begin(api: Api, database: Database, settings: Settings) -> tuple[PackWriter, Pack, Shelf]:
    """A pack of one chunk that is not sealed yet."""
    shelf, data = await Shelf.open(api), some()
    databases = Databases(database)
    store = await open_known_store(database, settings)
    writer = PackWriter(databases, store, Presence(databases, DAY), cell=0, reader_grace=DAY)
    pack = writer.begin_pack(UUID(shelf.repo.id))
    await writer.append_chunks(pack, [Chunk(digest(data), len(data), "none", data)])
    return writer, pack, shelf


async def test_what_is_under_way_is_not_acknowledged(
    api: Api, settings: Settings, database: Database
) -> None:
    writer, pack, shelf = await begin(api, database, settings)
    await replace(database, settings)
    with pytest.raises(DomainError, match=TOLD):
        await writer.finalize_pack(pack, UUID(shelf.repo.id))
    assert await api.value("SELECT count(*) FROM chunks") == 0
    assert await api.value("SELECT count(*) FROM packs") == 0


async def test_a_change_waits_for_packs_that_are_being_sealed(
    api: Api, settings: Settings, database: Database
) -> None:
    _, pack, _ = await begin(api, database, settings)

    async def work(connection: Connection) -> asyncio.Task[None]:
        assert await hold_open_pack(connection, pack)
        change = asyncio.create_task(replace(database, settings))
        await blocked(api)
        assert not change.done()
        return change

    await (await database.transaction(work))


async def test_a_pack_waits_for_a_change_that_is_under_way(
    api: Api, settings: Settings, database: Database
) -> None:
    writer, pack, shelf = await begin(api, database, settings)
    async with transaction(api) as connection:
        await connection.execute("DELETE FROM stores")
        sealing = asyncio.create_task(writer.finalize_pack(pack, UUID(shelf.repo.id)))
        await blocked(api)
    with pytest.raises(DomainError, match=TOLD):
        await sealing


async def test_nothing_is_called_lost(
    api: Api, settings: Settings, database: Database, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    await shelf.put(some())
    store = await open_known_store(database, settings)
    writer = PackWriter(databases, store, Presence(databases, DAY), cell=0, reader_grace=DAY)
    (key,) = [row[0] for row in await api.fetch("SELECT key FROM packs")]
    await store.delete_object(key)
    await replace(database, settings)
    with pytest.raises(DomainError, match=TOLD):
        await Scrub({"local": store}, writer).verify_pack(database, key)
    assert await api.value("SELECT count(*) FROM chunks WHERE lost_at IS NOT NULL") == 0
