"""The reaper of objects that no pack names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from services.chunk.background.object_reaper import ObjectReaper
from shared.errors import DomainError
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, files, some
from tests.support.scratch_databases import open_databases
from tests.support.stores import open_store


@pytest.fixture
async def reaper(dsn: str, settings: Settings) -> AsyncIterator[ObjectReaper]:
    """A reaper beside the one of the running service, which sleeps."""
    store = open_store(settings)
    async with open_databases(dsn) as databases:
        yield ObjectReaper(databases, {store.bucket: store}, 0)


async def test_objects_go_when_they_are_due(
    api: Api, settings: Settings, reaper: ObjectReaper
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    data = some()
    await shelf.put(data)
    (needed,) = files(settings)
    await elsewhere.put(data)
    assert len(files(settings)) == 2
    await api.fetch("UPDATE object_deletions SET not_before = now() + interval '1 hour'")
    assert await reaper.reap_objects() == 0
    await api.fetch("UPDATE object_deletions SET not_before = now(), bucket = 'not ours'")
    assert await reaper.reap_objects() == 0
    await api.fetch("UPDATE object_deletions SET bucket = $1", settings.region)
    assert await reaper.reap_objects() == 1
    assert list(files(settings)) == [needed]
    assert await api.value("SELECT count(*) FROM object_deletions") == 0
    await elsewhere.get(data)


async def test_an_object_that_is_gone_already_is_success(
    api: Api, settings: Settings, reaper: ObjectReaper
) -> None:
    await api.fetch(
        """INSERT INTO object_deletions (bucket, key, not_before)
           SELECT $1, '0/' || repeat('c', 32), now() FROM generate_series(1, 2)""",
        settings.region,
    )
    assert await reaper.reap_objects() == 2
    assert await api.value("SELECT count(*) FROM object_deletions") == 0


async def test_an_object_that_a_pack_names_is_never_deleted(
    api: Api, settings: Settings, reaper: ObjectReaper
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    await api.fetch(
        "INSERT INTO object_deletions (bucket, key, not_before) SELECT bucket, key, now() FROM packs"
    )
    with capture_logs() as logs:
        assert await reaper.reap_objects() == 0
    assert [entry["log_level"] for entry in logs] == ["error"]
    await shelf.get(data)
    assert await api.value("SELECT count(*) FROM object_deletions") == 1
    assert len(files(settings)) == 1


async def test_an_object_that_nobody_can_delete_keeps_none_behind_it(
    api: Api, settings: Settings, reaper: ObjectReaper
) -> None:
    root = settings.data_dir / "chunks" / settings.region / "0"
    await api.fetch(
        """INSERT INTO object_deletions (bucket, key, not_before)
           SELECT $1, '0/' || repeat(name, 32), now() - age * interval '1 minute'
           FROM (VALUES ('a', 2), ('b', 1), ('c', 3)) AS v (name, age)""",
        settings.region,
    )
    (root / "aa" / ("a" * 32)).mkdir(parents=True)
    (root / "bb").mkdir()
    (root / "bb" / ("b" * 32)).write_bytes(b"garbage")
    with pytest.raises(DomainError):
        await reaper.reap_objects()
    assert await api.value("SELECT min(key) FROM object_deletions") == "0/" + "a" * 32
    assert await api.value("SELECT count(*) FROM object_deletions") == 2
    assert await reaper.reap_objects() == 1
    assert not (root / "bb" / ("b" * 32)).exists()
    (root / "aa" / ("a" * 32)).rmdir()
    await api.fetch("UPDATE object_deletions SET not_before = not_before - interval '1 hour'")
    assert await reaper.reap_objects() == 1
