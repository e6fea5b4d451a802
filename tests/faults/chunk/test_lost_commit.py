"""The connection to the database breaks around the commit of an upload."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from grpc import StatusCode
from structlog.testing import capture_logs

from services.chunk.packs import pack_writer
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, assert_stored, some
from tests.support.postgres_proxy import Cut, Proxy


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """Stands before the database of the test."""
    proxy = Proxy()
    yield proxy
    await proxy.stop()


@pytest.fixture
async def dsn(dsn: str, proxy: Proxy) -> str:
    """The database, through the proxy."""
    return await proxy.start(dsn)


SEALED = "SET state = 'sealed'"


@pytest.mark.parametrize("cut", [Cut.REQUEST, Cut.REPLY])
async def test_a_commit_is_asked_about_again(
    api: Api, settings: Settings, proxy: Proxy, cut: Cut
) -> None:
    shelf = await Shelf.open(api)
    data = [some() for _ in range(3)]
    proxy.cut(cut, SEALED)
    with capture_logs() as logs:
        answer = await shelf.put(*data)
    assert [entry["event"] for entry in logs if "finalize" in entry["event"]] == [
        "finalize cut off"
    ]
    assert (answer.stored_chunk_count, answer.stored_bytes) == (3, 3000)
    assert await api.value("SELECT count(*) FROM object_deletions") == 0
    await shelf.get(*data)
    await assert_stored(api, settings)


async def test_a_database_that_stays_away(
    api: Api, settings: Settings, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack_writer, "_COMMIT_PAUSES", (0.0, 0.0))
    shelf = await Shelf.open(api)
    data = some()
    proxy.cut(Cut.REQUEST, SEALED, times=3)
    with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
        await shelf.put(data)
    assert await shelf.missing(data) == [True]
    await assert_stored(api, settings)
    await shelf.put(data)
    await shelf.get(data)


async def test_the_reply_to_an_announcement_is_lost(
    api: Api, settings: Settings, proxy: Proxy
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    # It is a statement of its own, and commits itself: this is one of its arguments.
    bucket = await api.value("SELECT bucket FROM stores")
    proxy.cut(Cut.REPLY, "INSERT INTO packs", at=bucket)
    with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
        await shelf.put(data)
    assert await api.value("SELECT count(*) FROM packs WHERE state = 'open'") == 0
    await assert_stored(api, settings)
    await shelf.put(data)
    await shelf.get(data)


async def test_the_reply_to_an_unneeded_pack_is_lost(
    api: Api, settings: Settings, proxy: Proxy
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    data = some()
    await shelf.put(data)
    proxy.cut(Cut.REPLY, "DELETE FROM packs WHERE key = $1 RETURNING")
    # Its row is gone, as if the sweep had dropped it: the client has to send again.
    with refused(StatusCode.ABORTED, "UPLOAD_EXPIRED"):
        await elsewhere.put(data)
    await assert_stored(api, settings)
    assert (await elsewhere.put(data)).stored_chunk_count == 0
    await elsewhere.get(data)
    await assert_stored(api, settings)
