"""Two databases with the same packs: one of them deletes there, and never what only the other one needs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.admin.fsck import check_everything
from services.admin.stores import adopt_store
from services.chunk.stores.opening import open_known_store
from services.chunk.stores.ownership import renew_stamp, require_owner
from services.chunk.stores.paired_store import split_store
from shared.db.pool import Database
from shared.errors import DomainError
from shared.runtime.config import ConfigError, Settings
from tests.support.s3_server import S3Server
from tests.support.scratch_databases import open_databases
from tests.support.store_owners import (
    KEY,
    age_stamps,
    assert_deletes_nothing,
    begin_to_delete,
    leave_store,
    put_stamps,
    reap_store,
    stamps_of,
    write_object,
)
from tests.support.stores import open_store

REFUSAL = "is another database's"


@pytest.fixture
async def other(second_dsn: str) -> AsyncIterator[Database]:
    """Another database of the same server."""
    async with open_databases(second_dsn) as databases:
        (database,) = databases.every()
        yield database


async def restore_dump(source: Database, target: Database) -> None:
    """Makes another database what it is when a dump is restored into it."""
    await put_stamps(target, await stamps_of(source))
    for row in await source.fetch("SELECT bucket, id, location FROM stores"):
        query = "INSERT INTO stores (bucket, id, location) VALUES ($1, $2, $3)"
        await target.statement(query, *row)


async def test_a_restored_dump_beside_the_original(
    database: Database, other: Database, place: Settings
) -> None:
    store = await open_known_store(database, place)
    await write_object(store, KEY)
    await restore_dump(database, other)
    for _ in range(2):
        with pytest.raises(ConfigError, match=f"{REFUSAL}.*`dits-server store adopt local`"):
            await open_known_store(other, place)
    # The original may be looked at.
    assert (await check_everything(other, place, repair=False)).faults == []
    await begin_to_delete(other, KEY)
    await assert_deletes_nothing(other, store)
    with pytest.raises(ConfigError, match="run, or ran a moment ago"):
        await adopt_store(other, place, None)
    # The original is gone for good; or so they said.
    await leave_store(store)
    [told] = await adopt_store(other, place, None)
    assert told.endswith("that of local as before, is this database's now")
    await open_known_store(other, place)
    await begin_to_delete(database, KEY)
    await assert_deletes_nothing(database, store)
    with pytest.raises(ConfigError, match=REFUSAL):
        await open_known_store(database, place)
    assert await reap_store(other, store) == 1


async def test_a_new_database_takes_no_store_that_others_have_used(
    database: Database, other: Database, place: Settings
) -> None:
    store = await open_known_store(database, place)
    with pytest.raises(ConfigError, match=REFUSAL):
        await open_known_store(other, place)
    await write_object(store, KEY)
    # As if it had been used before stores had owners.
    await database.statement("DELETE FROM store_stamps")
    another = open_store(place.model_copy(update={"cell": 5}))
    await another.write_owner(0, "", is_first=False)
    with pytest.raises(ConfigError, match=REFUSAL):
        await open_known_store(other, place)
    assert await other.fetch("SELECT FROM stores") == []


async def test_a_store_without_owner(
    database: Database, other: Database, place: Settings, s3_server: S3Server
) -> None:
    store = open_store(place)
    await store.create("5f2f4f5e-0000-4000-8000-000000000001")
    await write_object(store, KEY)
    for _ in range(2):
        with pytest.raises(
            ConfigError, match="has packs of cell 0 that this new database does not"
        ):
            await open_known_store(database, place)
    # Those of another cell are no concern of this one.
    await open_known_store(other, place.model_copy(update={"cell": 1}))
    # A database that has used it before is its owner.
    query = "INSERT INTO stores (bucket, id, location) VALUES ('local', $1, 'here')"
    await database.statement(query, await store.read_id())
    store = await open_known_store(database, place)
    await begin_to_delete(database, KEY)
    assert await reap_store(database, store) == 1
    await reap_store(other, store, 1)


async def test_cells_have_owners_of_their_own(
    database: Database, other: Database, place: Settings
) -> None:
    first = await open_known_store(database, place)
    second = await open_known_store(other, place.model_copy(update={"cell": 1}))
    await write_object(first, KEY)
    await begin_to_delete(database, KEY)
    assert (await reap_store(database, first), await reap_store(other, second, 1)) == (1, 0)
    with pytest.raises(ConfigError, match=REFUSAL):
        await open_known_store(other, place)


async def test_both_stores_of_a_region_that_moves(
    database: Database, other: Database, settings: Settings, s3_server: S3Server
) -> None:
    new = settings.model_copy(update={"store": s3_server.url("owners/moving")})
    moving = new.model_copy(update={"second_store": str(settings.data_dir / "chunks" / "local")})
    await open_known_store(database, settings)
    pair = await open_known_store(database, moving)
    await write_object(pair, KEY)
    await age_stamps(database)
    await begin_to_delete(database, KEY)
    assert await reap_store(database, pair) == 1
    await write_object(pair, KEY)
    for taken in (new, settings):
        for each in split_store(pair):
            await leave_store(each)
        await adopt_store(other, taken, None)
        await begin_to_delete(database, KEY)
        await assert_deletes_nothing(database, pair)
        with pytest.raises(ConfigError, match=REFUSAL):
            await open_known_store(database, moving)
        await leave_store(open_store(taken))
        await adopt_store(database, moving, None)
    assert await reap_store(database, pair) == 2


async def test_a_store_without_owner_is_taken_while_servers_run(
    database: Database, settings: Settings
) -> None:
    store = await open_known_store(database, settings)
    (settings.data_dir / "chunks" / "local" / "dits-owner-0").unlink()
    with pytest.raises(DomainError):
        await require_owner(database, store, 0)
    await renew_stamp(database, store, 0)
    await require_owner(database, store, 0)
