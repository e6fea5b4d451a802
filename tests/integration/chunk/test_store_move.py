"""Packs move to another store, while chunks are read and stored."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.admin.stores import move_packs
from services.chunk.collection.store_move import StoreMove
from services.chunk.stores.opening import open_known_store
from services.chunk.stores.paired_store import PairedStore
from shared.db.pool import Database
from shared.runtime.config import ConfigError, Settings
from tests.support.api import Api, running_suite
from tests.support.chunks import Shelf, files, reason, some
from tests.support.s3_server import S3Server


def root_of(settings: Settings) -> Path:
    return settings.data_dir / "chunks" / settings.region


async def open_pair(database: Database, settings: Settings) -> PairedStore:
    store = await open_known_store(database, settings)
    assert isinstance(store, PairedStore)
    return store


async def test_a_move_to_s3_while_everything_goes_on(
    api: Api, database: Database, settings: Settings, s3_server: S3Server
) -> None:
    shelf = await Shelf.open(api)
    data = [some(2000) for _ in range(5)]
    for each in data:
        await shelf.put(each)
    # Dead space is copied, too: extents stay what they are.
    await api.fetch("UPDATE packs SET bytes = bytes + 3 WHERE key = (SELECT min(key) FROM packs)")
    first = min(files(settings).items())[1]
    first.write_bytes(first.read_bytes() + b"end")
    moving = settings.model_copy(
        update={"store": s3_server.url("move"), "second_store": str(root_of(settings))}
    )
    async with running_suite(api.dsn, moving) as during:
        there = Shelf(during, shelf.who, shelf.repo)
        await there.get(*data)
        new = some()
        await there.put(new)
        assert len(files(settings)) == 5
        stores = await open_pair(database, moving)
        # Stopped in the middle, it goes on where it was.
        async with aclosing(StoreMove(database, stores).copy_packs()) as passes:
            assert (await anext(passes)).copied > 0
        [copied, again] = await move_packs(database, stores)
        assert again.startswith("run it again")
        assert f"{6 - int(copied.split()[1])} were there" in copied
        assert len(s3_server.names("move")) == 6 + 2
        with pytest.raises(ConfigError, match="Nothing is lost"):
            await open_known_store(database, moving.model_copy(update={"second_store": None}))
        [copied, done] = await move_packs(database, stores)
        assert copied.startswith("copied 0 packs")
        assert done.endswith("second_store may be left out from now on")
        await there.get(*data, new)
    alone = moving.model_copy(update={"second_store": None})
    async with running_suite(api.dsn, alone) as after:
        await Shelf(after, shelf.who, shelf.repo).get(*data, new)
    with pytest.raises(ConfigError, match="Nothing is lost"):
        await open_known_store(database, settings)


async def test_who_begins_with_both_stores_begins_the_move_once_more(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await open_known_store(database, settings)
    new, old = str(tmp_path / "new"), str(root_of(settings))
    moving = settings.model_copy(update={"store": new, "second_store": old})
    alone = moving.model_copy(update={"second_store": None})
    for _ in range(2):
        stores = await open_pair(database, moving)
        with pytest.raises(ConfigError, match="as second_store until `dits-server store move`"):
            await open_known_store(database, alone)
        await move_packs(database, stores)
        await open_known_store(database, alone)


async def test_what_is_damaged_or_missing_is_told(
    api: Api, database: Database, settings: Settings, tmp_path: Path
) -> None:
    shelf = await Shelf.open(api)
    good, bad, gone = some(), some(), some()
    await shelf.put(bad, good)
    [path] = files(settings).values()
    path.write_bytes(bytes(1000) + path.read_bytes()[1000:])
    await shelf.put(gone)
    [lost] = [each for each in files(settings).values() if each != path]
    lost.unlink()
    new = tmp_path / "new"
    moving = settings.model_copy(update={"store": str(new), "second_store": str(root_of(settings))})
    stores = await open_pair(database, moving)
    [copied, missing] = await move_packs(database, stores)
    assert copied.startswith("copied 1 packs (2,000 bytes)")
    assert "1 chunks are damaged in the old store" in copied
    assert missing.startswith("1 packs are in neither")
    [key] = [key async for keys in stores.first.list_objects(0) for key in keys]
    assert await stores.first.read_ranges(key, [(0, 2000)], lambda views: bytes(views[0])) == (
        bytes(1000) + good
    )
    # It is not finished, and no server begins with the new store alone.
    with pytest.raises(ConfigError, match="Nothing is lost"):
        await open_known_store(database, moving.model_copy(update={"second_store": None}))
    async with running_suite(api.dsn, moving) as during:
        there = Shelf(during, shelf.who, shelf.repo)
        await there.get(good)
        [answer] = await there.download(bad)
        assert reason(answer) == "CHUNK_CORRUPT"


async def test_one_store_twice(database: Database, settings: Settings) -> None:
    await open_known_store(database, settings)
    twice = settings.model_copy(update={"second_store": str(root_of(settings))})
    with pytest.raises(ConfigError, match="mean the same store"):
        await open_known_store(database, twice)


async def test_deletions_reach_both(database: Database, settings: Settings, tmp_path: Path) -> None:
    moving = settings.model_copy(update={"second_store": str(tmp_path / "old")})
    stores = await open_pair(database, moving)
    for store, key in (
        (stores.first, "0/aa"),
        (stores.second, "0/aa"),
        (stores.second, "0/bb"),
    ):
        writer = store.open_writer(key)
        await writer.write_parts([b"data"])
        await writer.seal()
    listed = [key async for keys in stores.list_objects(0) for key in keys]
    assert sorted(listed) == ["0/aa", "0/aa", "0/bb"]
    assert await stores.measure_object("0/bb") == 4
    assert await stores.measure_object("0/cc") is None
    for key in ("0/aa", "0/bb"):
        await stores.delete_object(key)
    assert [key async for keys in stores.list_objects(0) for key in keys] == []


@pytest.mark.parametrize(("seconds", "lines"), [(1e9, 0), (0.0, 1)])
async def test_a_long_move_tells_now_and_then(
    api: Api,
    database: Database,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    lines: int,
) -> None:
    await (await Shelf.open(api)).put(some())
    monkeypatch.setattr("services.admin.stores._TELL_SECONDS", seconds)
    stores = {"store": str(tmp_path / "new"), "second_store": str(root_of(settings))}
    moving = settings.model_copy(update=stores)
    with capture_logs() as told:
        await move_packs(database, await open_pair(database, moving))
    assert [line["event"] for line in told].count("packs copied") == lines
