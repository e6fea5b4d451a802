"""The connection to the database breaks around the commit of an upload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import Enum
from urllib.parse import urlsplit

import pytest
from grpc import StatusCode
from structlog.testing import capture_logs

from services.chunk.packs import pack_writer
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, assert_stored, some


class Cut(Enum):
    """What happens to the COMMIT that follows a statement."""

    NOTHING = 0
    REQUEST = 1  # it never arrives
    REPLY = 2  # it succeeds, and the reply is lost


class Proxy:
    """Stands between the services and PostgreSQL, and cuts one connection when told to."""

    def __init__(self) -> None:
        self._upstream: tuple[str | None, int | None] = None, None
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._cut = Cut.NOTHING
        self._after = b""
        self._times = 0

    async def start(self, dsn: str) -> str:
        """Listens, and returns the DSN that leads through here."""
        where = urlsplit(dsn)
        self._upstream = where.hostname, where.port
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return dsn.replace(f":{where.port}/", f":{self._server.sockets[0].getsockname()[1]}/")

    def cut(self, what: Cut, after: str, times: int = 1) -> None:
        """Cuts the first so many commits of transactions with this in their text."""
        self._cut, self._after, self._times = what, after.encode(), times

    async def stop(self) -> None:
        """Closes everything."""
        assert self._server is not None
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        server, request = await asyncio.open_connection(*self._upstream)
        deaf = asyncio.Event()
        pumps = {
            asyncio.create_task(self._requests(client, request, deaf)),
            asyncio.create_task(self._replies(server, answer, deaf)),
        }
        self._pumps |= pumps
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for writer in (request, answer):
            writer.close()

    async def _requests(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, deaf: asyncio.Event
    ) -> None:
        armed = False
        while data := await source.read(1 << 16):
            armed |= bool(self._after) and self._after in data
            if armed and b"COMMIT" in data and self._times:
                self._times -= 1
                if self._cut is Cut.REQUEST:
                    return
                deaf.set()
            sink.write(data)
            await sink.drain()

    async def _replies(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, deaf: asyncio.Event
    ) -> None:
        while data := await source.read(1 << 16):
            if deaf.is_set():
                return
            sink.write(data)
            await sink.drain()


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


SEALED = "UPDATE packs SET state = 'sealed'"


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
    proxy.cut(Cut.REPLY, "INSERT INTO packs")
    with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
        await shelf.put(data)
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
