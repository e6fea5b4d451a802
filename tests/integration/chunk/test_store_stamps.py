"""Copies of a database with its id: what they delete in a store is told by the stamp that it holds."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from services.admin.stores import adopt_store, check_stores
from services.chunk.stores.local_store import LocalStore
from services.chunk.stores.opening import open_known_store
from services.chunk.stores.ownership import renew_stamp, require_owner
from shared.db.pool import Database
from shared.errors import DomainError
from shared.runtime.config import ConfigError, Settings
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


async def test_a_copy_of_another_moment(database: Database, place: Settings) -> None:
    store = await open_known_store(database, place)
    await write_object(store, KEY)
    before = await stamps_of(database)
    await age_stamps(database)
    await renew_stamp(database, store, 0)
    after = await stamps_of(database)
    # A snapshot, or a standby that lagged: it has the same id.
    await put_stamps(database, before)
    with capture_logs() as logs:
        await open_known_store(database, place)
    assert [entry["log_level"] for entry in logs] == ["error"]
    await begin_to_delete(database, KEY)
    await assert_deletes_nothing(database, store)
    # The other one goes on, until this one is taken for the right one.
    await put_stamps(database, after)
    await require_owner(database, store, 0)
    await put_stamps(database, before)
    with pytest.raises(ConfigError, match="nothing is deleted"):
        await check_stores(database, place)
    await leave_store(store)
    await adopt_store(database, place, None)
    assert (await check_stores(database, place))[-1] == "owner  this database"
    adopted = await stamps_of(database)
    await put_stamps(database, after)
    await assert_deletes_nothing(database, store)
    await put_stamps(database, adopted)
    assert await reap_store(database, store) == 1


async def test_two_copies_of_one_moment(database: Database, place: Settings) -> None:
    """Whichever stamps first goes on."""
    store = await open_known_store(database, place)
    await write_object(store, KEY)
    await age_stamps(database)
    before = await stamps_of(database)
    await renew_stamp(database, store, 0)
    await put_stamps(database, before)
    with pytest.raises(DomainError):
        await renew_stamp(database, store, 0)


async def test_replicas_stamp_at_once(database: Database, place: Settings) -> None:
    opened = await asyncio.gather(*(open_known_store(database, place) for _ in range(3)))
    # Whatever each of them has written as the first.
    await renew_stamp(database, opened[0], 0)
    await age_stamps(database)
    [(_, before, _)] = await stamps_of(database)
    await asyncio.gather(*(renew_stamp(database, store, 0) for store in opened))
    [(_, after, _)] = await stamps_of(database)
    assert after[:-1] == before
    assert f" {after[-1]} " in (await opened[0].read_owner(0) or "")
    # One that wakes up late writes what it wanted to write.
    database_id = await database.fetchrow("SELECT database_id()::text AS id")
    assert database_id is not None
    await opened[0].write_owner(0, f"{database_id['id']} {before[-1]}", is_first=False)
    await require_owner(database, opened[1], 0)
    await renew_stamp(database, opened[2], 0)
    assert f" {after[-1]} " in (await opened[0].read_owner(0) or "")


async def test_few_stamps_are_kept(database: Database, settings: Settings) -> None:
    store = await open_known_store(database, settings)
    for _ in range(20):
        await age_stamps(database)
        await renew_stamp(database, store, 0)
    [(_, stamps, _)] = await stamps_of(database)
    assert len(set(stamps)) == 16


class Failing(LocalStore):
    """A store that does not answer a write of the owner, which it has done or not."""

    def __init__(self, settings: Settings, *, is_done: bool) -> None:
        super().__init__(settings.data_dir / "chunks" / "local", "local", "local")
        self._is_done = is_done

    async def write_owner(self, cell: int, text: str, *, is_first: bool) -> None:
        """Fails."""
        if self._is_done:
            await super().write_owner(cell, text, is_first=is_first)
        raise TimeoutError("no answer")


@pytest.mark.parametrize("is_done", [False, True])
async def test_a_stamp_whose_writing_fails(
    database: Database, settings: Settings, *, is_done: bool
) -> None:
    store = await open_known_store(database, settings)
    for _ in range(3):
        await age_stamps(database)
        with pytest.raises(TimeoutError):
            await renew_stamp(database, Failing(settings, is_done=is_done), 0)
        await require_owner(database, store, 0)
    [(_, stamps, _)] = await stamps_of(database)
    assert len(stamps) == (4 if is_done else 2)
    await renew_stamp(database, store, 0)
    assert f" {stamps[-1]} " in (await store.read_owner(0) or "")


class Slow(LocalStore):
    """A store in which a deletion takes two minutes."""

    def __init__(self, settings: Settings, database: Database) -> None:
        super().__init__(settings.data_dir / "chunks" / "local", "local", "local")
        self._database = database

    async def delete_object(self, key: str) -> None:
        """Lets two minutes pass."""
        await super().delete_object(key)
        await age_stamps(self._database)


async def test_stamps_are_renewed_while_much_is_deleted(
    database: Database, settings: Settings
) -> None:
    await open_known_store(database, settings)
    for number in range(101):
        await begin_to_delete(database, f"0/{number:032x}")
    assert await reap_store(database, Slow(settings, database)) == 101
    [(_, stamps, _)] = await stamps_of(database)
    # The first one, and that of the second hundred.
    assert len(stamps) == 2
