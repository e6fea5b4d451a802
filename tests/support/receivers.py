"""Receivers of webhooks: real servers on 127.0.0.1, good ones and bad ones."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, TypeAlias

from tests.support.waiting import PATIENCE_SECONDS


@dataclass(frozen=True, slots=True)
class Received:
    """One request; names of headers are in lower case."""

    target: str
    headers: dict[str, str]
    body: bytes


# Writes an answer to a request; when it returns, the connection is closed.
Behaviour: TypeAlias = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int = 200, body: bytes = b"", headers: str = "") -> Behaviour:
    """Answers at once, and keeps the connection."""
    head = f"HTTP/1.1 {status} Fine\r\nContent-Length: {len(body)}\r\n{headers}\r\n"

    async def behave(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + body)
        await writer.drain()

    return behave


def answer_in_turn(*behaviours: Behaviour) -> Behaviour:
    """Answers each request in its own way, the last of them over and over."""
    turns = itertools.chain(behaviours, itertools.repeat(behaviours[-1]))

    async def behave(request: Received, writer: asyncio.StreamWriter) -> None:
        await next(turns)(request, writer)

    return behave


async def hang(request: Received, writer: asyncio.StreamWriter) -> None:
    """Never answers."""
    await asyncio.Event().wait()


async def drip(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answers with a byte now and then."""
    writer.write(b"HTTP/1.1 200 Fine\r\nContent-Length: 1000000\r\n\r\n")
    await _repeat(writer, b"x", 0.05)


async def drip_head(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answers with a head that does not end."""
    writer.write(b"HTTP/1.1 200 Fine\r\n")
    await _repeat(writer, b"x: y\r\n", 0.05)


async def pour(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answers with a body that does not end."""
    writer.write(b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n")
    await _repeat(writer, b"10000\r\n" + bytes(65536) + b"\r\n", 0)


async def pour_head(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answers with headers that do not end."""
    writer.write(b"HTTP/1.1 200 Fine\r\n")
    await _repeat(writer, b"x: " + b"y" * 60_000 + b"\r\n", 0)


async def pour_early_answers(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answers that the answer will come, again and again."""
    await _repeat(writer, b"HTTP/1.1 102 Processing\r\n\r\n" * 1000, 0)


async def pour_tiny_chunks(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answers with a body in chunks of one byte."""
    writer.write(b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n")
    await _repeat(writer, b"1\r\nx\r\n" * 10_000, 0)


async def close(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answers nothing and closes."""


async def talk_nonsense(request: Received, writer: asyncio.StreamWriter) -> None:
    """Answers in no protocol."""
    writer.write(b"\x15\x03\x01\x00\x02\x02\x0a nonsense \xff\xfe")


async def _repeat(writer: asyncio.StreamWriter, data: bytes, pause: float) -> None:
    with suppress(ConnectionError):
        while True:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(pause)


class HttpReceiver:
    """A server that keeps what it gets, and behaves as told."""

    def __init__(
        self, behaviour: Behaviour | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.behaviour = behaviour or answer()
        self.port = 0
        self.requests: list[Received] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.arrived = asyncio.Condition()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where it is to be found."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hook?x=1"

    async def wait_for(self, count: int) -> list[Received]:
        """Returns the requests as soon as there are so many."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.arrived:
            await self.arrived.wait_for(lambda: len(self.requests) >= count)
        return list(self.requests)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            # asyncio would call a cancelled connection a defect.
            with suppress(
                ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError
            ):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keeps = True
        while keeps:
            request = await _read_request(reader)
            async with self.arrived:
                self.requests.append(request)
                self.arrived.notify_all()
            self.open += 1
            self.most_open = max(self.open, self.most_open)
            try:
                await self.behaviour(request, writer)
            finally:
                self.open -= 1
            keeps = self.behaviour.__qualname__.startswith(("answer.", "answer_in_turn."))


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    first, *lines = head.rstrip().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    method, target, _ = first.split(" ")
    assert method == "POST"
    return Received(target, headers, await reader.readexactly(int(headers["content-length"])))
