"""A proxy between the services and PostgreSQL that cuts connections."""

from __future__ import annotations

import asyncio
from enum import Enum
from urllib.parse import urlsplit


class Cut(Enum):
    """What happens to the message that ends a transaction."""

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
        self._at = b""
        self._times = 0

    async def start(self, dsn: str) -> str:
        """Listens, and returns the DSN that leads through here."""
        where = urlsplit(dsn)
        self._upstream = where.hostname, where.port
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return dsn.replace(f":{where.port}/", f":{self._server.sockets[0].getsockname()[1]}/")

    def cut(self, what: Cut, after: str, times: int = 1, at: str = "COMMIT") -> None:
        """Cuts the first so many messages that have `at` in them, on connections that sent `after`."""
        self._cut, self._after, self._times, self._at = what, after.encode(), times, at.encode()

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
            if armed and self._at in data and self._times:
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
